"""The sessions of browsers at this server: found by their cookie, used, signed in anew.

The rule is in `core/browser_cookie.py`.
"""

from __future__ import annotations

import msgspec

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import SYSTEM, Actor, By, EndReason
from watchword.core.browser_cookie import judge_cookie
from watchword.core.refresh_token import RefreshTokens
from watchword.core.rotation import End, Refuse, Rotate
from watchword.core.session import Authenticated, Policy, Session, TokenSet
from watchword.errors import RefreshInvalid, StoreUnavailable
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import Change, SessionStore
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions import Sessions


class _Cookie(msgspec.Struct, frozen=True):
    """What a cookie says, and from where it came."""

    session_id: bytes
    generation: int
    secret: bytes
    address: str


class BrowserSessions:
    """Finds, writes and signs in anew the sessions of the client `_pages`."""

    def __init__(
        self,
        *,
        store: SessionStore,
        sessions: Sessions,
        tokens: RefreshTokens,
        revocations: RevocationTracker,
        policy: Policy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._tokens = tokens
        self._revocations = revocations
        self._policy = policy
        self._clock = clock

    async def used(self, text: str, address: str) -> tuple[Session, str] | None:
        """The live session of a cookie, and the address that it was last seen at.

        The use is written, where the last one is a while ago. A cookie that was
        replaced at a sign-in long before ends its session. Raises StoreUnavailable.
        """
        cookie = self._read(text, address)
        if cookie is None:
            return None
        for _ in range(limits.SWAP_ATTEMPTS):
            now = self._clock()
            row = await self._judged(cookie, now)
            if row is None:
                return None
            if abs(now - row.rotated_at) < limits.SIGN_IN_USE_WRITTEN:
                return row, row.address
            after = row.rotated(
                row.generation, row.retry_hash, address, self._policy, now
            )
            if await self._swap(Change(row, after)):
                return after, row.address
        raise StoreUnavailable

    async def sign_in_again(
        self, text: str, authenticated: Authenticated, address: str
    ) -> TokenSet | None:
        """The session of a cookie under a new token, if it is of that account.

        None where there is no such session, or where it must end soon: then another one
        has to begin. Raises StoreUnavailable.
        """
        cookie = self._read(text, address)
        if cookie is None:
            return None
        for _ in range(limits.SIGN_IN_TABS):
            now = self._clock()
            row = await self._judged(cookie, now)
            if row is None or row.account_id != authenticated.account_id:
                return None
            if self._ends_soon(row, now):
                return None
            # Another tab has signed in while this one did. Both get the same token, or
            # else the browser would keep the one whose answer comes last.
            generation = max(row.generation, cookie.generation + 1)
            after = row.rotated(
                generation, row.retry_hash, address, self._policy, now
            ).proved(authenticated)
            by = By(Actor.USER).detail()
            event = Event.about(EventType.SIGN_IN, after, address, now, **by)
            async with self._sessions.taken_back_on_failure(row.id, address):
                if await self._swap(Change(row, after, event)):
                    return self._tokens_of(after, cookie.secret, now)
        raise StoreUnavailable

    def _ends_soon(self, session: Session, now: int) -> bool:
        """Whether its absolute end is too near for a user who has just signed in."""
        policy = self._policy
        enough = min(policy.refresh_idle, policy.refresh_absolute // 2)
        return session.renewable_until(policy, now) < now + enough

    def _tokens_of(self, session: Session, secret: bytes, now: int) -> TokenSet:
        token = self._tokens.mint(session.id, session.generation, secret)
        return TokenSet(session, "", 0, token, session.seconds_left(self._policy, now))

    def _read(self, text: str, address: str) -> _Cookie | None:
        try:
            return _Cookie(*self._tokens.read(text), address)
        except RefreshInvalid:
            return None

    async def _judged(self, cookie: _Cookie, now: int) -> Session | None:
        """The live session of the cookie, with the generation that it has to have."""
        for _ in range(limits.SWAP_ATTEMPTS):
            (row,) = await self._store.load([cookie.session_id])
            verdict = judge_cookie(
                row, cookie.generation, cookie.secret, self._policy, now
            )
            if row is None or isinstance(verdict, Refuse):
                if row is not None:
                    self._revocations.note_revoked(row)
                return None
            match verdict:
                case End(reason):
                    if await self._swap(self._end(row, cookie, reason, now)):
                        return None
                case Rotate(generation):
                    change = self._catch_up(row, cookie, generation, now)
                    if await self._swap(change):
                        return change.after
                case _:
                    return row
        raise StoreUnavailable

    def _end(
        self, row: Session, cookie: _Cookie, reason: EndReason, now: int
    ) -> Change:
        reuse = reason is EndReason.REUSE
        event = Event.about(
            EventType.TOKEN_REUSE if reuse else EventType.SESSION_REVOKED,
            row,
            cookie.address,
            now,
            **SYSTEM.detail(reason=reason),
            presented=cookie.generation,
            current=row.generation,
            rotated_from=row.address,
        )
        return Change(row, row.ended(reason, now), event)

    def _catch_up(
        self, row: Session, cookie: _Cookie, generation: int, now: int
    ) -> Change:
        event = Event.about(
            EventType.TOKEN_REWOUND,
            row,
            cookie.address,
            now,
            lost=generation - row.generation,
            **SYSTEM.detail(),
        )
        after = row.rotated(generation, row.retry_hash, row.address, self._policy, now)
        return Change(row, after, event)

    async def _swap(self, change: Change) -> bool:
        (done,) = await self._store.swap([change])
        if done:
            self._revocations.note_revoked(change.after)
        return done
