"""Users that an app has already: the app's own check takes the place of our accounts.

The app decides whether a name and password are right. The throttle before that, the
sessions after it and the answer to a wrong password are the same as for accounts. The
table of accounts stays empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, TypeVar

import msgspec

from watchword.accounts.names import checked_roles, normalise_name
from watchword.attempts import Attempts
from watchword.clocks import Clock
from watchword.core.actor import APP, By, EndReason
from watchword.core.session import Authenticated, as_text, from_text
from watchword.errors import (
    InvalidCredentials,
    NotFound,
    Overloaded,
    StoreUnavailable,
    TryAgain,
)
from watchword.factors.epochs import Epochs
from watchword.passwords import cpus
from watchword.passwords.hasher import QUEUE_LIMIT
from watchword.passwords.pool import FairPool
from watchword.sessions import Sessions

_ID_BITS: Final = 128
# Checks under way at once. One more would wait too long: it is told to come back.
_CHECKS_MAX: Final = 256
_log = logging.getLogger("watchword.subjects")

Given = TypeVar("Given")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The name and password of a sign-in. `address` is where the request comes from."""

    username: str
    password: str
    address: str = ""

    def __repr__(self) -> str:
        return f"Credentials(address={self.address!r})"


class Subject(msgspec.Struct, frozen=True):
    """One of the app's users: the `sub` of the tokens, and the roles in them.

    A number becomes the UUID with that value: 7 becomes
    ``00000000-0000-0000-0000-000000000007``.
    """

    id: uuid.UUID | int
    roles: tuple[str, ...] = ()


SubjectId = uuid.UUID | int | str
"""A user's id as the app has it, or the `sub` of the user's tokens."""

Authenticate = Callable[[Credentials], Awaitable[Subject | None] | Subject | None]
"""The app's check. It returns the user, or None to refuse the sign-in.

It may be async; otherwise it runs on a thread. It should take as long for an unknown
name as for a wrong password. If it raises, the answer is 503 and the attempt is not
counted.
"""

LoadSubject = Callable[[str], Awaitable[Subject | None] | Subject | None]
"""The app's function that finds a user by the `sub` of tokens.

It returns None for a user that is gone or must not sign in. A passkey alone signs in
users only where an app gives it, for no check of the app is asked then. It is called as
`Authenticate` is.
"""


class Subjects:
    """Signs in the users that the app's own check accepts.

    The epoch of what was proved is the number of the last end of sessions, of any user,
    when the attempt began: see `factors/epochs.py`.
    """

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        attempts: Attempts,
        sessions: Sessions,
        epochs: Epochs,
        clock: Clock,
        load_subject: LoadSubject | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._load_subject = load_subject
        self._attempts = attempts
        self._sessions = sessions
        self._clock = clock
        self._checks = 0
        self._epochs = epochs
        # For a check that blocks: threads of low priority, fair between addresses, in
        # bounded number.
        self._threads = FairPool(cpus(), QUEUE_LIMIT)

    async def authenticate(
        self, name: str, password: str, *, address: str = ""
    ) -> Authenticated:
        """The user that the app accepts. Every attempt is counted before the check.

        Raises InvalidCredentials, InvalidRequest, Throttled, Overloaded,
        StoreUnavailable.
        """
        given = Credentials(username=name, password=password, address=address)
        with self._one_check():
            async with self._attempts.counted(normalise_name(name), address) as attempt:
                # The app may accept the user just before it ends the user's sessions,
                # after a change of password, say.
                epoch = await self.newest_epoch()
                account_id, roles = await self._ask(
                    self._authenticate, given, attempt.caller, named="authenticate"
                )
        return Authenticated.by_password(account_id, roles, epoch, at=self._clock())

    async def newest_epoch(self) -> int:
        """The epoch for what a way in is about to prove. To be read before the proof.

        Raises StoreUnavailable.
        """
        return await self._epochs.newest()

    async def look_again(self, authenticated: Authenticated) -> Authenticated:
        """What was proved: the app alone knows of other roles.

        Raises InvalidCredentials if the user's sessions were ended meanwhile.
        """
        last = await self._epochs.last_of(authenticated.account_id)
        if last > authenticated.epoch:
            raise InvalidCredentials
        return authenticated

    async def end_all(
        self,
        subject_id: SubjectId,
        reason: EndReason,
        *,
        but: bytes | None = None,
        by: By = APP,
    ) -> int:
        """End the subject's sessions, or all but one. Returns how many were alive.

        Raises ValueError for a value that is no id, NotFound for the `sub` of a client.
        """
        account_id = account_id_of(subject_id)
        await self._epochs.note(account_id)
        return await self._sessions.end_all(account_id, reason, but=but, by=by)

    async def close(self) -> None:
        """End the threads, after the checks that are running."""
        await asyncio.to_thread(self._threads.close)

    @property
    def can_load(self) -> bool:
        """Whether the app finds its users by their id."""
        return self._load_subject is not None

    async def standing_of(
        self, account_id: bytes, caller: str
    ) -> tuple[tuple[str, ...], int]:
        """The roles and the epoch of a user, as the app knows it.

        Raises InvalidCredentials for one that must not sign in, Overloaded,
        StoreUnavailable.
        """
        assert self._load_subject is not None  # noqa: S101 - see `can_load`
        given = as_text(account_id)
        with self._one_check():
            epoch = await self.newest_epoch()
            known, roles = await self._ask(
                self._load_subject, given, caller, named="load_subject"
            )
        if known != account_id:
            raise InvalidCredentials
        return roles, epoch

    @contextlib.contextmanager
    def _one_check(self) -> Iterator[None]:
        """A block that asks the app. Raises Overloaded where too many are under way."""
        if self._checks >= _CHECKS_MAX:
            raise Overloaded
        self._checks += 1
        try:
            yield
        finally:
            self._checks -= 1

    async def _ask(
        self,
        check: Callable[[Given], Awaitable[Subject | None] | Subject | None],
        given: Given,
        waiting: str,
        *,
        named: str,
    ) -> tuple[bytes, tuple[str, ...]]:
        """The id (16 bytes) and the roles of the user that the app's check returns.

        Threads are shared fairly between callers; `waiting` names this one, and `named`
        is the check's name in the log. Raises InvalidCredentials if the check returns
        None, StoreUnavailable if it raises.
        """
        call = check if inspect.isroutine(check) else type(check).__call__
        try:
            if inspect.iscoroutinefunction(call):
                answer = check(given)
            else:
                job = self._threads.submit(waiting, partial(check, given))
                answer = await asyncio.wrap_future(job)
            # A lambda or a partial may return an awaitable, too.
            subject = await answer if inspect.isawaitable(answer) else answer
            known = None
            if subject is not None:
                known = account_id_of(subject.id), checked_roles(subject.roles)
        except TryAgain:
            raise
        except Exception as error:
            _log.exception("the app's %s failed", named)
            message = "No sign-in can be checked right now: try again shortly."
            raise StoreUnavailable(message) from error
        if known is None:
            raise InvalidCredentials
        return known


def account_id_of(subject_id: SubjectId) -> bytes:
    """The 16 bytes by which sessions name a subject. Raises ValueError, NotFound."""
    if isinstance(subject_id, str):
        known = from_text(subject_id)
        if known is None:  # the `sub` of a client's own token, which is no user's
            raise NotFound
        return known
    if isinstance(subject_id, int):
        if not 0 <= subject_id < 1 << _ID_BITS:
            raise ValueError("a subject's number has 0 to 128 bits")
        return subject_id.to_bytes(_ID_BITS // 8)
    return subject_id.bytes
