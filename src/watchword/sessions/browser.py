"""The sessions of browsers at this server: found by their cookie, used, signed in anew.

The rule is in `core/browser_cookie.py`.
"""

from __future__ import annotations

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.browser_cookie import judge_cookie, made_at
from watchword.core.policies import PAGES
from watchword.core.refresh_token import RefreshTokens
from watchword.core.rotation import End, Presented, Refuse, Rotate
from watchword.core.session import Authenticated, Policy, Session, TokenSet
from watchword.errors import RefreshInvalid, StoreUnavailable
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import Change, SessionStore
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions import Sessions
from watchword.sessions.verdicts import ending, rewinding


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
            after = self._used(row, row.generation, address, now)
            if await self._swap(Change(row, after)):
                return after, row.address
        raise StoreUnavailable

    async def sign_in_again(
        self, text: str, authenticated: Authenticated, address: str
    ) -> tuple[TokenSet, str] | None:
        """The session of a cookie under a new token, if it is of that account.

        With it comes the address that the session was last seen at. None where there is
        no such session, or where it must end soon: then another one has to begin.
        Raises StoreUnavailable.
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
            # Another tab may have signed in meanwhile. Both get the same token: of two,
            # the browser would keep the one that comes last.
            generation = max(row.generation, cookie.generation + 1)
            after = row.rotated(
                generation, made_at(now), address, self._policy, now
            ).signed_in_anew(authenticated)
            by = By(Actor.USER).detail(renewed=True)
            event = Event.about(EventType.SIGN_IN, after, address, now, **by)
            async with self._sessions.taken_back_on_failure(row.id, address):
                if await self._swap(Change(row, after, event)):
                    return self._tokens_of(after, cookie.secret, now), row.address
        raise StoreUnavailable

    def _ends_soon(self, session: Session, now: int) -> bool:
        """Whether its absolute end is too near for a sign-in of this moment."""
        policy = self._policy
        enough = min(policy.refresh_idle, policy.refresh_absolute // 2)
        return session.renewable_until(policy, now) < now + enough

    def _tokens_of(self, session: Session, secret: bytes, now: int) -> TokenSet:
        token = self._tokens.mint(session.id, session.generation, secret)
        return TokenSet(session, "", 0, token, session.seconds_left(self._policy, now))

    def _read(self, text: str, address: str) -> Presented | None:
        try:
            return Presented(*self._tokens.read(text), PAGES, address=address)
        except RefreshInvalid:
            return None

    async def _judged(self, cookie: Presented, now: int) -> Session | None:
        """The live session of the cookie, with the generation that it has to have."""
        for _ in range(limits.SWAP_ATTEMPTS):
            (row,) = await self._store.load([cookie.session_id])
            verdict = judge_cookie(row, cookie, self._policy, now)
            if row is None or isinstance(verdict, Refuse):
                if row is not None:
                    self._revocations.note_revoked(row)
                return None
            match verdict:
                case End(reason):
                    change = ending(row, cookie, reason, now)
                    if await self._swap(change):
                        by = By(Actor.SYSTEM, cookie.address)
                        await self._sessions.groups.end_members(change.after, by=by)
                        return None
                case Rotate(generation):
                    after = self._used(row, generation, row.address, now)
                    event = rewinding(row, cookie, now)
                    if await self._swap(Change(row, after, event)):
                        return after
                case _:
                    return row
        raise StoreUnavailable

    def _used(
        self, session: Session, generation: int, address: str, now: int
    ) -> Session:
        """The session after a use: no retry key has made its generation."""
        key = session.retry_hash
        return session.rotated(generation, key, address, self._policy, now)

    async def _swap(self, change: Change) -> bool:
        (done,) = await self._store.swap([change])
        if done:
            self._revocations.note_revoked(change.after)
        return done
