"""Sessions as the API sees them: start, refresh, revoke, list, sweep.

granting    what a client is given
refreshes   the refresh, many at a time; the rule itself is in `core/rotation.py`
"""

from __future__ import annotations

import hmac

import msgspec

from watchword.claims import ClaimsHook, claims_from
from watchword.core import limits
from watchword.core.refresh_token import RefreshTokens, hash_of
from watchword.core.rotation import Presented
from watchword.core.session import ALL, Asked, Grant, Policy, Session, Terms
from watchword.errors import RefreshError
from watchword.failures import Record
from watchword.keys import KeyRing
from watchword.ports import (
    Clock,
    Entropy,
    Event,
    EventType,
    OfAccount,
    OfClient,
    OneSession,
    SessionStore,
    Which,
)
from watchword.revocation import Revocations
from watchword.sessions.granting import Granting
from watchword.sessions.refreshes import Refreshes
from watchword.verify.dpop import Proofs, Signed


class Sessions:
    """The engine. One instance per process, in one event loop."""

    def __init__(
        self,
        *,
        store: SessionStore,
        record: Record,
        tokens: RefreshTokens,
        keys: KeyRing,
        revocations: Revocations,
        policy: Policy,
        issuer: str,
        clock: Clock,
        entropy: Entropy,
        claims_hook: ClaimsHook | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._revocations = revocations
        self._policy = policy
        self._clock = clock
        self._entropy = entropy
        self._claims_hook = claims_hook
        self._granting = Granting(tokens, keys, policy, issuer, entropy)
        self._refreshes = Refreshes(
            store=store,
            record=record,
            granting=self._granting,
            revocations=revocations,
            policy=policy,
            clock=clock,
            claims_hook=claims_hook,
            proofs=proofs,
        )

    def issue_as(self, issuer: str) -> None:
        """Access tokens name that issuer from now on."""
        self._granting.issuer = issuer

    async def start(
        self,
        account_id: bytes,
        roles: tuple[str, ...],
        terms: Terms,
        *,
        asked: Asked = ALL,
        address: str = "",
        user_agent: str = "",
    ) -> Grant:
        """A new session for someone who has proved who they are.

        `asked` is for its first access token alone.
        """
        now = self._clock()
        secret = self._entropy(limits.SECRET_BYTES)
        session = Session.started(
            account_id,
            roles,
            terms,
            self._policy,
            randomness=self._entropy(10),
            secret_hash=hash_of(secret),
            # No key made generation 0: 32 random bytes are the hash of none.
            retry_hash=self._entropy(32),
            address=address,
            user_agent=user_agent,
            now=now,
        )
        extra = await claims_from(self._claims_hook, session)
        grant = self._granting.grant(session, secret, asked, extra, now)
        event = Event.about(EventType.SIGN_IN, session, address, now)
        await self._store.create(session, event)
        return grant

    async def refresh(
        self,
        token: str,
        *,
        client_id: str,
        retry_key: str | None = None,
        address: str = "",
        asked: Asked = ALL,
        cookie: bool = False,
        proof: Signed | None = None,
    ) -> Grant:
        """A fresh access token and the successor of a refresh token.

        `proof` has been read, and counts once it is settled, in the batch.
        Raises RefreshInvalid, RefreshReused, SessionExpired, SessionRevoked;
        InvalidProof, InvalidScope, InvalidTarget, RetryKeyReused, Throttled,
        Overloaded, StoreUnavailable, with nothing spent.
        """
        session_id, generation, secret = self._tokens.read(token)
        # A client without a key gets one that only this request knows: if a commit's
        # answer is lost, the repetition in here finds its own rotation by it.
        key = self._entropy(16).hex() if retry_key is None else retry_key
        if proof is not None:
            asked = msgspec.structs.replace(asked, jkt=proof.key.kid)
        presented = Presented(
            session_id, generation, secret, client_id, key, asked, cookie, address
        )
        return await self._refreshes.refresh(presented, proof)

    def generation_of(self, token: str) -> int:
        """The generation that a refresh token names. Raises RefreshInvalid."""
        return self._tokens.read(token)[1]

    def ends_at(self, session: Session) -> int:
        """The instant from which no token of the session works."""
        return session.ends_at(self._policy)

    def is_current(self, session: Session, token: str) -> bool:
        """Whether a refresh token, whose session this is, would be honoured now."""
        alive = session.revoked_at is None and self._clock() < self.ends_at(session)
        return alive and self.generation_of(token) == session.generation

    async def session_of(self, token: str) -> Session | None:
        """The session of a refresh token of any generation, spent or expired ones too.

        None for what is not a token of this server or of a session that it knows.
        """
        try:
            session_id, _, secret = self._tokens.read(token)
        except RefreshError:
            return None
        (row,) = await self._store.load([session_id])
        if row is None or not hmac.compare_digest(hash_of(secret), row.secret_hash):
            return None
        return row

    async def revoke(
        self, which: Which, reason: str, *, address: str = "", by: str = "user"
    ) -> int:
        """End sessions; how many were alive. Their access tokens die with them.

        In this process at once, in every other within a second. Idempotent.
        """
        count = 0
        while True:
            event = Event(
                type=EventType.SESSION_REVOKED,
                at=self._clock(),  # of each step: many sessions take a while
                address=address,
                detail={"reason": reason, "by": by},
            )
            ended = await self._store.end(which, reason, event, limits.END_LIMIT)
            self._revocations.add(ended)
            count += len(ended)
            if len(ended) < limits.END_LIMIT:
                await self._learn_of_others(which, count)
                return count
            if not isinstance(which, OneSession):
                last = max(entry.session_id for entry in ended)
                which = msgspec.structs.replace(which, after=last)

    async def _learn_of_others(self, which: Which, count: int) -> None:
        """Refuse here, too, what an earlier attempt ended, or another process.

        Whoever is told that sessions have ended finds their access tokens dead.
        """
        if isinstance(which, OfAccount | OfClient):
            await self._revocations.read()
        elif isinstance(which, OneSession) and not count:
            row = await self.get(which.session_id)
            if row is not None:
                self._revocations.learn(row)

    async def get(self, session_id: bytes) -> Session | None:
        """The session of that id, alive or not."""
        (row,) = await self._store.load([session_id])
        return row

    async def list_of_account(self, account_id: bytes) -> list[Session]:
        """The account's live sessions, oldest sign-in first; LIST_LIMIT at most."""
        rows = await self._store.list_sessions(account_id, limit=limits.LIST_LIMIT)
        now = self._clock()
        return [row for row in rows if now < row.ends_at(self._policy)]

    async def end_one(self, session_id: bytes, reason: str, *, address: str) -> int:
        """End one session."""
        return await self.revoke(OneSession(session_id), reason, address=address)

    async def end_all(
        self, account_id: bytes, reason: str, *, but: bytes | None = None, **by: str
    ) -> int:
        """End all sessions of an account, or all but one."""
        return await self.revoke(OfAccount(account_id, but), reason, **by)

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        """Give the account's live sessions these roles, from their next refresh on."""
        await self._store.assign_roles(account_id, roles)

    async def sweep(self) -> int:
        """One small step of deleting what is over; how much there was."""
        return await self._store.sweep(self._clock(), limits.SWEEP_LIMIT)
