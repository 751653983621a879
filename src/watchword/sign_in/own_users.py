"""Users that an app has already: the app's own check takes the place of our accounts.

The app decides whether a name and password are right. The throttle before that, the
sessions after it and the answer to a wrong password are the same as for accounts. The
table of accounts stays empty.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

from watchword.accounts.registry import (
    SessionsOfAccounts,
    checked_roles,
    normalise_name,
    throttle_costs,
)
from watchword.attempts import Attempts
from watchword.audit import AuditLimit
from watchword.background import Background
from watchword.clocks import Clock
from watchword.core.actor import APP, By
from watchword.core.session import (
    EVERYTHING,
    RequestedToken,
    SessionOptions,
    TokenSet,
    from_text,
)
from watchword.errors import (
    InvalidCredentials,
    NotFound,
    Overloaded,
    StoreUnavailable,
    TryAgain,
)
from watchword.passwords import cpus
from watchword.passwords.hasher import QUEUE_LIMIT
from watchword.passwords.pool import FairPool
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.throttle import Throttle

_ID_BITS: Final = 128
# Sign-ins under way at once. One more would wait too long: it is told to come back.
SIGN_INS_MAX: Final = 256
_log = logging.getLogger("watchword.sign_in")


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


_Known = tuple[bytes, tuple[str, ...]]
"""A subject's id as sessions store it (16 bytes), and its roles."""


class Subjects:
    """Signs in the users that the app's own check accepts."""

    def __init__(
        self,
        authenticate: Authenticate,
        *,
        throttle: Throttle,
        audit: AuditLog,
        sessions: SessionsOfAccounts,
        background: Background,
        clock: Clock,
    ) -> None:
        self._authenticate = authenticate
        self._sessions = sessions
        self._clock = clock
        self._events = AuditLimit(audit.record)
        self._attempts = Attempts(throttle, self._events, background)
        # For each sign-in under way, the subjects whose sessions were ended meanwhile.
        self._under_way: dict[int, set[bytes]] = {}
        # For a check that blocks: threads of low priority, fair between addresses, in
        # bounded number.
        self._threads = FairPool(cpus(), QUEUE_LIMIT)

    async def sign_in(
        self,
        name: str,
        password: str,
        terms: SessionOptions,
        *,
        requested: RequestedToken = EVERYTHING,
        address: str = "",
        user_agent: str = "",
        prove: Callable[[], Awaitable[None]] | None = None,
    ) -> TokenSet:
        """A new session for the user that the app's check accepts.

        Raises InvalidCredentials without saying why, InvalidRequest for a name that no
        user could have, Throttled, Overloaded, StoreUnavailable. For `prove` see
        `Accounts.sign_in`.
        """
        if len(self._under_way) >= SIGN_INS_MAX:
            raise Overloaded
        ended: set[bytes] = set()
        self._under_way[id(ended)] = ended
        try:
            account_id, roles = await self._check(name, password, address)
            if prove is not None:
                await prove()
            grant = await self._sessions.start(
                account_id,
                roles,
                terms,
                requested=requested,
                address=address,
                user_agent=user_agent,
            )
        finally:
            del self._under_way[id(ended)]
        # The app may have accepted the user just before it ended the user's sessions,
        # after a change of password, say. Then this session has to end as well.
        async with self._sessions.taken_back_on_failure(grant.session.id, address):
            if account_id in ended:
                raise InvalidCredentials
        return grant

    async def end_all(
        self,
        subject_id: SubjectId,
        reason: str,
        *,
        but: bytes | None = None,
        by: By = APP,
    ) -> int:
        """End the subject's sessions, or all but one. Returns how many were alive.

        Raises ValueError for a value that is no id, NotFound for the `sub` of a client.
        """
        account_id = account_id_of(subject_id)
        for ended in self._under_way.values():
            ended.add(account_id)
        return await self._sessions.end_all(account_id, reason, but=but, by=by)

    async def close(self) -> None:
        """End the threads, after the checks that are running."""
        await asyncio.to_thread(self._threads.close)

    async def _check(self, name: str, password: str, address: str) -> _Known:
        """The user that the app accepts. Every attempt is counted before the check.

        Raises InvalidCredentials, InvalidRequest, Throttled, Overloaded,
        StoreUnavailable.
        """
        costs = throttle_costs(normalise_name(name), address)
        now = self._clock()
        given = Credentials(username=name, password=password, address=address)
        try:
            async with self._attempts.counted(costs, address, now):
                return await self._ask(given, costs[1].key)
        except InvalidCredentials:
            event = Event(type=EventType.SIGN_IN_FAILED, at=now, address=address)
            await self._events.record(event)
            raise

    async def _ask(self, given: Credentials, waiting: str) -> _Known:
        """The user that the app's check returns.

        Threads are shared fairly between callers; `waiting` names this one. Raises
        InvalidCredentials if the check returns None, StoreUnavailable if it raises.
        """
        check = self._authenticate
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
            _log.exception("the app's authenticate failed")
            message = "Nobody can be signed in right now: try again shortly."
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
