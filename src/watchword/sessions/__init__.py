"""Sessions as the API sees them: start, refresh, revoke, list.

    browser      the sessions of browsers at this server, by their cookie
    ending       the end of sessions, one or many
    groups       what ends with the sign-in of a browser
    issuing      the tokens that a client is given
    limit        how many sessions a user may have
    presenting   what a refresh comes with
    redeeming    the session of an authorization code
    refreshing   the refresh, many at a time
    verdicts     what a verdict on a token records
    retries      how many retries of a refresh there are, and which are recorded
    claims_hook  the claims that an app adds to access tokens

The rule of a refresh is in `core/rotation.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator

from watchword.background import Background, wait_briefly
from watchword.clocks import Clock, Entropy
from watchword.core import limits
from watchword.core.actor import APP, Actor, By, EndReason
from watchword.core.policies import PAGES, Policies
from watchword.core.refresh_token import RefreshTokens, hash_of
from watchword.core.rotation import Presented, is_retry
from watchword.core.session import (
    AAL2,
    EVERYTHING,
    Authenticated,
    RequestedToken,
    Session,
    SessionOptions,
    TokenSet,
)
from watchword.errors import RefreshError
from watchword.keys.ring import KeyRing
from watchword.metrics import NO_METRICS, Metrics
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.credentials import Spending
from watchword.ports.sessions import (
    ByAccount,
    ById,
    Selector,
    SessionPage,
    SessionStore,
)
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions.claims_hook import ClaimsHook, claims_from
from watchword.sessions.ending import SessionEnds
from watchword.sessions.groups import Groups
from watchword.sessions.issuing import TokenIssuer
from watchword.sessions.limit import limit_of
from watchword.sessions.presenting import PresentedReader
from watchword.sessions.refreshing import Refresher
from watchword.tokens.dpop import Proofs, Signed


class Sessions:
    """The session engine. One instance per process, in one event loop."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        audit: AuditLog,
        tokens: RefreshTokens,
        keys: KeyRing,
        revocations: RevocationTracker,
        background: Background,
        policies: Policies,
        issuer: str,
        clock: Clock,
        entropy: Entropy,
        sessions_max: int | None = None,
        claims_hook: ClaimsHook | None = None,
        proofs: Proofs | None = None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._reader = PresentedReader(tokens, entropy, metrics)
        self._revocations = revocations
        self.groups = Groups(
            sessions=sessions, revocations=revocations, policies=policies, clock=clock
        )
        self._ends = SessionEnds(
            sessions=sessions, groups=self.groups, revocations=revocations, clock=clock
        )
        self._background = background
        self._policies = policies
        self._clock = clock
        self._entropy = entropy
        self._sessions_max = sessions_max
        self._claims_hook = claims_hook
        self.token_issuer = TokenIssuer(
            tokens=tokens, keys=keys, policies=policies, issuer=issuer, entropy=entropy
        )
        self._refreshes = Refresher(
            sessions=sessions,
            audit=audit,
            token_issuer=self.token_issuer,
            revocations=revocations,
            policy=policies.apps,
            clock=clock,
            claims_hook=claims_hook,
            proofs=proofs,
            metrics=metrics,
        )

    def issue_as(self, issuer: str) -> None:
        """Put that issuer into access tokens from now on."""
        self.token_issuer.issuer = issuer

    async def start(
        self,
        authenticated: Authenticated,
        options: SessionOptions,
        *,
        requested: RequestedToken = EVERYTHING,
        address: str = "",
        user_agent: str = "",
        replaced: bytes | None = None,
        spends: Spending | None = None,
    ) -> TokenSet:
        """A new session, with its first tokens, for an authenticated user.

        `requested` is for the first access token only. Where a user may have so many
        groups of sessions, those refreshed longest ago end; the group `replaced` does
        not count, as far as the caller ends all of it next. `spends` is a recovery code
        that goes with it. Raises SecondFactorInvalid where that is gone,
        StoreUnavailable, Overloaded.
        """
        now = self._clock()
        secret = self._entropy(limits.SECRET_BYTES)
        session = Session.started(
            authenticated,
            options,
            self._policies.of(options.client_id),
            randomness=self._entropy(10),
            secret_hash=hash_of(secret),
            # No retry key made generation 0: these 32 random bytes are the hash of no
            # key.
            retry_hash=self._entropy(32),
            address=address,
            user_agent=user_agent,
            now=now,
        )
        # An app has no say where no access token is made.
        hook = None if session.client_id == PAGES else self._claims_hook
        extra = await claims_from(hook, session)
        issued = self.token_issuer.issue(session, secret, requested, extra, now)
        event = Event.about(
            EventType.SIGN_IN, session, address, now, **By(Actor.USER).detail()
        )
        if await self._is_kept(replaced, session):
            replaced = None
        async with self.taken_back_on_failure(session.id, address):
            limit = limit_of(self._sessions_max, self._policies, replaced, address, now)
            ended = await self._sessions.create(session, event, limit, spends)
            self._revocations.add(ended)
        return issued

    async def _is_kept(self, replaced: bytes | None, session: Session) -> bool:
        """Whether a part of that group goes on, which then counts as one."""
        if replaced is None or self._sessions_max is None or session.client_id != PAGES:
            return False
        return await self.groups.leaves_some(session.account_id, replaced)

    @contextlib.asynccontextmanager
    async def taken_back_on_failure(
        self, session_id: bytes, address: str
    ) -> AsyncIterator[None]:
        """A block for the rest of a sign-in: if it fails, the session is ended.

        The caller then does not get the session, so it is ended on any exception, also
        where the request is cancelled. If the store is away at that moment too, ending
        it is tried again for five minutes. A session that is left behind after that, or
        by a process that is killed, expires at its idle deadline. Its tokens have never
        been sent.
        """
        try:
            yield
            # If the block never had to wait, a cancellation may not have been raised
            # yet: this raises it.
            await asyncio.sleep(0)
        except BaseException as error:
            tried = self._background.start(
                lambda: self._take_back(session_id, address), "taking back a sign-in"
            )
            if isinstance(error, Exception):  # a cancelled request does not wait
                await wait_briefly(tried)
            raise

    async def _take_back(self, session_id: bytes, address: str) -> None:
        by = By(Actor.SYSTEM, address)
        await self.end_one(session_id, EndReason.TAKEN_BACK, by=by)

    async def refresh(
        self,
        token: str,
        *,
        client_id: str,
        retry_key: str | None = None,
        address: str = "",
        requested: RequestedToken = EVERYTHING,
        cookie: bool = False,
        proof: Signed | None = None,
        proved: Authenticated | None = None,
    ) -> TokenSet:
        """A fresh access token and the successor of a refresh token.

        `proof` is a DPoP proof that has been read. It is settled with the batch, and
        counts only then. `proved` is what the session's user has just proved: it raises
        the session, which then rotates in the hold-off too, also where the token had
        its successor already. Raises RefreshInvalid, RefreshReused, SessionExpired,
        SessionRevoked. Raises InvalidProof, InvalidScope, InvalidTarget,
        RetryKeyReused, Throttled, Overloaded, StoreUnavailable, with nothing spent.
        """
        presented = self._reader.presented(
            token,
            client_id,
            retry_key,
            address,
            requested,
            cookie=cookie,
            proof=proof,
            proved=proved,
        )
        return await self._refreshes.refresh(presented, proof)

    async def look(
        self,
        token: str,
        *,
        client_id: str,
        retry_key: str | None = None,
        address: str = "",
        cookie: bool = False,
        proof: Signed | None = None,
    ) -> Session:
        """The session of a refresh token that `refresh` would honour; nothing is spent.

        A token that it would not honour is answered as there: it raises, and ends the
        session where the token was spent before.
        """
        presented = self._reader.presented(
            token, client_id, retry_key, address, EVERYTHING, cookie=cookie, proof=proof
        )
        return await self._refreshes.look(presented, proof)

    def generation_of(self, token: str) -> int:
        """The generation that a refresh token names. Raises RefreshInvalid."""
        return self._tokens.read(token)[1]

    def is_retry(self, session: Session, token: str, retry_key: str | None) -> bool:
        """Whether this very request has made the session's current generation.

        Its answer was lost, and `refresh` gives it again. Raises RefreshInvalid.
        """
        parts = self._tokens.read(token)
        return is_retry(session, Presented(*parts, session.client_id, retry_key))

    def ends_at(self, session: Session) -> int:
        """The instant from which no token of the session works."""
        return session.ends_at(self._policies.of(session.client_id))

    def is_current(self, session: Session, token: str) -> bool:
        """Whether a refresh token of this session would be honoured now.

        Raises RefreshInvalid for a text that is no refresh token.
        """
        now = self._clock()
        alive = session.revoked_at is None and now < self.ends_at(session)
        policy = self._policies.of(session.client_id)
        until = session.renewable_until(policy, now)
        lasting = alive and now // limits.SECOND < until // limits.SECOND
        return lasting and self.generation_of(token) == session.generation

    async def session_of(self, token: str) -> Session | None:
        """The session of a refresh token of any generation, spent or expired ones too.

        None for a text that is not a token of this server, and for a token of a session
        that the store does not have.
        """
        try:
            session_id, _, secret = self._tokens.read(token)
        except RefreshError:
            return None
        (row,) = await self._sessions.load([session_id])
        if row is None or not hmac.compare_digest(hash_of(secret), row.secret_hash):
            return None
        return row

    async def revoke(
        self, selector: Selector, reason: EndReason, *, by: By = APP
    ) -> int:
        """End sessions, and return how many were alive.

        With the sign-in of a browser goes what it let in (`groups.py`). This process
        refuses their access tokens at once, every other process within a second.
        Idempotent. Raises StoreUnavailable.
        """
        return await self._ends.end(selector, reason, by)

    async def get(self, session_id: bytes) -> Session | None:
        """The session of that id, ended or not; None if there is none."""
        (row,) = await self._sessions.load([session_id])
        return row

    async def list_of_account(self, account_id: bytes) -> list[Session]:
        """The account's live sessions, newest sign-in first; LIST_LIMIT at most."""
        page = await self.page(account_id, limit=limits.LIST_LIMIT)
        return list(page.sessions)

    async def page(
        self,
        account_id: bytes | None,
        *,
        after: bytes | None = None,
        limit: int = limits.LIST_PAGE,
        client_id: str | None = None,
    ) -> SessionPage:
        """Live sessions of an account and client, or of all, newest sign-in first.

        A page reads at most LIST_LOOK rows, so it may be short or empty although there
        are more. Its `onward` is the `after` of the next page, None at the end.
        """
        now = self._clock()
        alive = self._policies.maybe_alive(now)
        page = await self._sessions.list(
            account_id,
            alive,
            after=after,
            limit=limit,
            look=limits.LIST_LOOK,
            client_id=client_id,
        )
        rows = [row for row in page.sessions if now < self.ends_at(row)]
        return SessionPage(rows, page.onward)

    async def end_one(
        self, session_id: bytes, reason: EndReason, *, by: By = APP
    ) -> int:
        """End one session, and what goes with it. Returns how many were alive."""
        return await self.revoke(ById(session_id), reason, by=by)

    async def end_all(
        self,
        account_id: bytes,
        reason: EndReason,
        *,
        but: bytes | None = None,
        by: By = APP,
    ) -> int:
        """End all sessions of an account, or all but the group of the session `but`.

        Returns how many.
        """
        kept = await self._group_of(but)
        return await self.revoke(ByAccount(account_id, kept), reason, by=by)

    async def end_weaker(
        self,
        account_id: bytes,
        reason: EndReason,
        *,
        but: bytes | None = None,
        by: By = APP,
    ) -> int:
        """End an account's sessions below `aal2`; `but` as in `end_all`. How many."""
        kept = await self._group_of(but)
        weak: list[bytes] = []
        after = None
        while True:
            page = await self.page(account_id, after=after)
            weak += [
                one.id for one in page.sessions if one.acr != AAL2 and one.group != kept
            ]
            after = page.onward
            if after is None:
                break
        return sum([await self.end_one(one, reason, by=by) for one in weak])

    async def _group_of(self, session_id: bytes | None) -> bytes | None:
        row = None if session_id is None else await self.get(session_id)
        return session_id if row is None else row.group

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give the account's live sessions these roles, from their next refresh on."""
        await self._sessions.assign_roles(account_id, roles)
