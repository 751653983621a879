"""argon2id on the pool: hash a new password, verify a presented one.

Unknown, disabled and wrong cost one hash each and raise the same error (ASVS 5.0
6.3.8): what remains to tell them apart is the cost of an imported hash until its first
sign-in.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Never

import argon2
from argon2.exceptions import VerifyMismatchError

from watchword.errors import InvalidCredentials
from watchword.passwords.formats import parse
from watchword.passwords.policy import check_new_password, encoded
from watchword.passwords.pool import FairPool

# With 30 ms per hash, two threads clear the queue within a second: whoever would wait
# longer is better told to come back.
QUEUE_LIMIT: Final = 64


@dataclass(frozen=True)
class HashParameters:
    """argon2id's cost. Raises ValueError for one that ``verify`` would refuse.

    The defaults are the floor of the OWASP Password Storage Cheat Sheet; salt and tag
    have 16 and 32 bytes (RFC 9106 §4).
    """

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1

    def __post_init__(self) -> None:
        if parse(self.dummy()) is None:
            raise ValueError(f"not a usable argon2id cost: {self}")

    def dummy(self) -> str:
        """A hash of this cost that no known password has: salt and tag are zeros."""
        cost = f"m={self.memory_kib},t={self.passes},p={self.lanes}"
        return f"$argon2id$v=19${cost}${'A' * 22}${'A' * 43}"


OWASP_FLOOR: Final = HashParameters()
INSECURE_FOR_TESTS: Final = HashParameters(memory_kib=8, passes=1)


def cpus() -> int:
    """How many this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class PasswordHasher:
    """Hashes on its own threads (one per CPU, unless told), so no call blocks the loop.

    ``address`` is whom the queue is shared with fairly: pass the throttle's key (IPv6
    by /64), or one host would be as many as it likes.
    """

    def __init__(
        self,
        parameters: HashParameters = OWASP_FLOOR,
        *,
        workers: int | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
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
        """The string to store for a new password; ``names`` as `check_new_password`.

        Judging how common a password is takes up to 0.4 s of one CPU, and so has its
        place in the same queue as the hash. Raises PasswordRejected, Overloaded.
        """
        work = partial(self._hash_new, password, (*names,))
        return await asyncio.wrap_future(self._pool.submit(address, work))

    async def verify(
        self, stored: str | None, password: str, *, address: str
    ) -> str | None:
        """Raise InvalidCredentials unless ``password`` made ``stored``.

        ``stored`` is None for an unknown or disabled account. Returns the hash to store
        instead, or None if the stored one is of today's form and cost. Raises
        Overloaded, before anything was tried.
        """
        work = partial(self._verify, stored, password)
        return await asyncio.wrap_future(self._pool.submit(address, work))

    async def close(self) -> None:
        """Refuse what waits (Overloaded); return when the running hashes are done."""
        await asyncio.to_thread(self._pool.close)

    def _hash_new(self, password: str, names: tuple[str, ...]) -> str:
        check_new_password(password, names=names)
        return self._argon2.hash(password.encode())

    def _verify(self, stored: str | None, password: str) -> str | None:
        known = None if stored is None else parse(stored)
        secret = encoded(password)
        if stored is None or known is None or secret is None:
            self._refuse(secret or b"")
        known.check(secret)
        return None if self._current(stored) else self._argon2.hash(secret)

    def _refuse(self, secret: bytes) -> Never:
        # Another fault than a mismatch, such as no memory, is not the user's.
        with suppress(VerifyMismatchError):
            self._argon2.verify(self._dummy, secret)
        raise InvalidCredentials

    def _current(self, stored: str) -> bool:
        ours = stored.startswith("$argon2id$")
        return ours and not self._argon2.check_needs_rehash(stored)
