"""argon2id on the pool: hash a new password, verify a presented one.

An unknown name, a disabled account and a wrong password each cost one hash and raise
the same error (ASVS 5.0 6.3.8). Only an imported hash can be told apart, by its cost,
until the account's first sign-in.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final, Generic, Never, TypeVar

import argon2
from argon2.exceptions import VerifyMismatchError

from watchword.core.turns import Turns
from watchword.errors import InvalidCredentials, Overloaded
from watchword.metrics import NO_METRICS, Metrics
from watchword.metrics.catalog import Counter, Histogram
from watchword.passwords.breached import BreachedPasswords
from watchword.passwords.formats import parse
from watchword.passwords.policy import check_new_password, encoded
from watchword.passwords.pool import FairPool

# With 30 ms per hash, two threads clear this queue within a second. A client that would
# have to wait longer is told to come back later.
QUEUE_LIMIT: Final = 64

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class HashParameters:
    """The cost of argon2id. Raises ValueError for a cost that ``verify`` would refuse.

    The defaults are the minimum of the OWASP Password Storage Cheat Sheet. The salt has
    16 bytes and the tag 32 (RFC 9106 §4).
    """

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1

    def __post_init__(self) -> None:
        if parse(self.dummy()) is None:
            raise ValueError(f"not a usable argon2id cost: {self}")

    def dummy(self) -> str:
        """A hash of this cost that no known password has: salt and tag are zero."""
        cost = f"m={self.memory_kib},t={self.passes},p={self.lanes}"
        return f"$argon2id$v=19${cost}${'A' * 22}${'A' * 43}"


OWASP_FLOOR: Final = HashParameters()
INSECURE_FOR_TESTS: Final = HashParameters(memory_kib=8, passes=1)


def cpus() -> int:
    """The number of CPUs that this process may use, or that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Timed(Generic[Answer]):
    """Work that says how long it took."""

    def __init__(self, work: Callable[[], Answer]) -> None:
        self._work = work
        self.seconds: float | None = None

    def __call__(self) -> Answer:
        begun = perf_counter()
        try:
            return self._work()
        finally:
            self.seconds = perf_counter() - begun


class PasswordHasher:
    """Hashes on threads of its own, so that no call blocks the event loop.

    There is one thread per CPU by default. The queue is shared fairly between the
    values of ``address``. Pass the throttle's key (IPv6 by /64): with full IPv6
    addresses, one host could take as many shares as it likes. A new password must not
    be among those of ``breached``. ``turns`` says how long passwords took lately.
    """

    def __init__(
        self,
        parameters: HashParameters = OWASP_FLOOR,
        *,
        workers: int | None = None,
        queue_limit: int = QUEUE_LIMIT,
        breached: BreachedPasswords | None = None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self.turns = Turns()
        self._metrics = metrics
        self._breached = breached
        self._pool = FairPool(workers or cpus(), queue_limit)
        self._dummy = parameters.dummy()
        self._argon2 = argon2.PasswordHasher(
            time_cost=parameters.passes,
            memory_cost=parameters.memory_kib,
            parallelism=parameters.lanes,
        )

    async def hash(
        self, password: str, *, names: Iterable[str] = (), address: str = ""
    ) -> str:
        """The string to store for a new password. Raises PasswordRejected, Overloaded.

        ``names`` are those of `check_new_password`. To judge how common a password is
        takes up to 0.4 s of one CPU, so it is done in the same queue as the hash.
        """
        return await self._run(address, partial(self._hash_new, password, (*names,)))

    async def verify(
        self, stored: str | None, password: str, *, address: str
    ) -> str | None:
        """Raise InvalidCredentials unless ``password`` made ``stored``.

        ``stored`` is None for an unknown or disabled account. Returns a new hash to
        store in its place, or None if the stored one has today's form and cost. Raises
        Overloaded where the queue is full; nothing was tried then.
        """
        return await self._run(address, partial(self._verify, stored, password))

    @property
    def waiting(self) -> int:
        """How many passwords wait."""
        return self._pool.waiting

    def most_waiting(self) -> int:
        """How many have waited at once since this was asked last."""
        return self._pool.most_waiting()

    async def close(self) -> None:
        """Refuse waiting jobs (Overloaded); return when the running ones are done."""
        await asyncio.to_thread(self._pool.close)

    async def _run(self, address: str, work: Callable[[], Answer]) -> Answer:
        """The answer of that work, on the pool. How long it took is counted here.

        The threads of the pool MUST NOT count: others than the event loop's cannot.
        """
        timed = _Timed(work)
        try:
            job = self._pool.submit(address, timed)
        except Overloaded:
            self._metrics.count(Counter.HASH_SHED)
            raise
        try:
            return await asyncio.wrap_future(job)
        finally:
            if timed.seconds is not None:
                self.turns.note(timed.seconds)
                self._metrics.observe(Histogram.HASH_DURATION, timed.seconds)

    def _hash_new(self, password: str, names: tuple[str, ...]) -> str:
        check_new_password(password, names=names, breached=self._breached)
        return self._argon2.hash(password.encode())

    def _verify(self, stored: str | None, password: str) -> str | None:
        known = None if stored is None else parse(stored)
        secret = encoded(password)
        if stored is None or known is None or secret is None:
            self._refuse(secret or b"")
        known.check(secret)
        return None if self._current(stored) else self._argon2.hash(secret)

    def _refuse(self, secret: bytes) -> Never:
        # Only a mismatch is suppressed: another fault, such as a lack of memory, must
        # not look like a wrong password.
        with suppress(VerifyMismatchError):
            self._argon2.verify(self._dummy, secret)
        raise InvalidCredentials

    def _current(self, stored: str) -> bool:
        ours = stored.startswith("$argon2id$")
        return ours and not self._argon2.check_needs_rehash(stored)
