"""Sessions as the API sees them: start, refresh, revoke, list, sweep.

A refresh is prove, load, judge, sign, swap, answer, for a whole batch at once. The rule
is in `core/rotation.py`; the swap writes only rows that are still what was judged, and
a miss is loaded and judged again. Nothing that can fail comes after the swap.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watchword.batching import Batcher
from watchword.claims import NONE, ClaimsHook, claims_from
from watchword.core import limits
from watchword.core.access_token import claims_of
from watchword.core.refresh_token import RefreshTokens, hash_of
from watchword.core.rotation import (
    End,
    Presented,
    Refuse,
    Retry,
    Rotate,
    Same,
    judge,
    retry_hash,
)
from watchword.core.session import ALL, Asked, Grant, Policy, Session, Terms
from watchword.errors import (
    InvalidProof,
    RefreshError,
    RefreshReused,
    SessionRevoked,
    StoreUnavailable,
)
from watchword.keys import KeyRing
from watchword.ports import (
    Change,
    Clock,
    Entropy,
    Event,
    EventType,
    OfAccount,
    OneSession,
    SessionStore,
    Which,
    each_of,
)
from watchword.retries import Record, Retries
from watchword.revocation import Revocations
from watchword.verify.dpop import Proofs, Signed


class _Attempt(msgspec.Struct, frozen=True):
    """One refresh on its way through a batch."""

    presented: Presented
    address: str
    claims: Mapping[str, Any]
    proof: Signed | None


class _Plan(msgspec.Struct, frozen=True):
    """What a verdict means: the answer, and the write that must succeed before it."""

    answer: Grant | Exception
    change: Change | None = None


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
        self._keys = keys
        self._revocations = revocations
        self._policy = policy
        self._issuer = issuer
        self._clock = clock
        self._entropy = entropy
        self._claims_hook = claims_hook
        self._proofs = proofs
        self._batcher: Batcher[_Attempt, Grant] = Batcher(
            self._refresh_batch, lanes=store.lanes
        )
        self._retries = Retries(record)

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
        grant = self._grant(session, secret, asked, extra, now)
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
            session_id, generation, secret, client_id, key, asked, cookie
        )
        extra = NONE if self._claims_hook is None else await self._ahead(presented)
        attempt = _Attempt(presented, address, extra, proof)
        return await self._batcher.submit(session_id, attempt)

    async def _refresh_batch(
        self, attempts: Sequence[_Attempt]
    ) -> list[Grant | Exception]:
        outcomes: list[Grant | Exception] = [StoreUnavailable()] * len(attempts)
        waiting = await self._proved(attempts, outcomes)
        for _ in range(limits.SWAP_ATTEMPTS):
            now = self._clock()
            try:
                ids = [attempts[place].presented.session_id for place in waiting]
                rows = await each_of(self._store.load(ids))
                plans = {
                    place: self._plan(attempts[place], row, now)
                    for place, row in zip(waiting, rows, strict=True)
                }
                missed = await self._swap(plans)
            except Exception as error:  # noqa: BLE001 - belongs to those who wait
                # Not to those of an earlier turn: their rotation was written, and who
                # sent no key could not ask for it again.
                for place in waiting:
                    outcomes[place] = error
                break
            for place, plan in plans.items():
                if place not in missed:
                    outcomes[place] = plan.answer
            if not missed:
                break
            waiting = sorted(missed)
        return outcomes

    async def _proved(
        self, attempts: Sequence[_Attempt], outcomes: list[Grant | Exception]
    ) -> list[int]:
        """The places that go on. Where a proof fails, nothing else is looked at."""
        shown = {place: one.proof for place, one in enumerate(attempts) if one.proof}
        faults: Sequence[Exception | None] = [InvalidProof()] * len(shown)
        if shown and self._proofs is not None:
            faults = await self._proofs.settle(list(shown.values()))
        refused = {p: f for p, f in zip(shown, faults, strict=True) if f is not None}
        for place, fault in refused.items():
            outcomes[place] = fault
        return [place for place in range(len(attempts)) if place not in refused]

    async def _swap(self, plans: Mapping[int, _Plan]) -> set[int]:
        """Write what the plans ask for; the places whose row had moved on."""
        changing = {p: plan.change for p, plan in plans.items() if plan.change}
        if not changing:
            return set()
        # Written or not, nobody knows: judged again, each finds its own rotation.
        try:
            swapped = await each_of(self._store.swap(list(changing.values())))
        except StoreUnavailable:
            return set(changing)
        for done, change in zip(swapped, changing.values(), strict=True):
            if done is True and change.after.revoked_at is not None:
                self._revocations.add([change.after.feed_entry()])
        told = zip(changing, swapped, strict=True)
        return {place for place, done in told if done is not True}

    def _plan(
        self, attempt: _Attempt, row: Session | StoreUnavailable | None, now: int
    ) -> _Plan:
        if isinstance(row, StoreUnavailable):
            return _Plan(row)
        try:
            return self._plan_for(attempt, row, now)
        except Exception as error:  # noqa: BLE001 - one attempt's fault, its own answer
            return _Plan(error)

    def _plan_for(self, attempt: _Attempt, row: Session | None, now: int) -> _Plan:
        presented, policy = attempt.presented, self._policy
        verdict = judge(row, presented, policy, now)
        if row is None or isinstance(verdict, Refuse):
            assert isinstance(verdict, Refuse)  # noqa: S101 - no row is always refused
            return _Plan(verdict.error())
        secret, asked = presented.secret, presented.asked
        match verdict:
            case Rotate(generation, rewound):
                key = presented.retry_key or ""
                spent_with = retry_hash(secret, presented.generation, key)
                after = row.rotated(
                    generation, spent_with, attempt.address, policy, now
                )
                grant = self._grant(after, secret, asked, attempt.claims, now)
                event = None
                if rewound:
                    event = Event.about(
                        EventType.TOKEN_REWOUND,
                        row,
                        attempt.address,
                        now,
                        by=presented.generation - row.generation,
                    )
                return _Plan(grant, Change(row, after, event))
            case Retry():
                self._retries.count(row, attempt.address, now)
                return _Plan(self._grant(row, secret, asked, attempt.claims, now))
            case Same():
                return _Plan(self._grant(row, secret, asked, attempt.claims, now))
            case End(reason):
                return self._plan_end(attempt, row, reason, now)

    def _plan_end(
        self, attempt: _Attempt, row: Session, reason: str, now: int
    ) -> _Plan:
        reuse = reason == "reuse"
        event = Event.about(
            EventType.TOKEN_REUSE if reuse else EventType.SESSION_REVOKED,
            row,
            attempt.address,
            now,
            reason=reason,
            presented=attempt.presented.generation,
            current=row.generation,
            rotated_from=row.address,
        )
        error = RefreshReused() if reuse else SessionRevoked()
        return _Plan(error, Change(row, row.ended(reason, now), event))

    def _grant(
        self,
        session: Session,
        secret: bytes,
        asked: Asked,
        extra: Mapping[str, Any],
        now: int,
    ) -> Grant:
        """The tokens of the session's current generation. Signs."""
        jti = self._entropy(16).hex()
        claims = claims_of(
            session, self._policy, asked, issuer=self._issuer, jti=jti, now=now
        )
        return Grant(
            session,
            self._keys.active.sign(claims, extra),
            claims.exp - now // 1000,
            self._tokens.mint(session.id, session.generation, secret),
            (session.ends_at(self._policy) - now) // 1000,
            session.scope if asked.scope is None else asked.scope,
            claims.cnf is not None,
        )

    async def _ahead(self, presented: Presented) -> Mapping[str, Any]:
        """The app's claims, asked for before the batch, so that nobody waits for them.

        Only for a token that would be honoured: the hook may be slow.
        """
        (row,) = await self._store.load([presented.session_id])
        verdict = judge(row, presented, self._policy, self._clock())
        if row is None or isinstance(verdict, Refuse | End):
            return NONE
        return await claims_from(self._claims_hook, row)

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
                return count
            if not isinstance(which, OneSession):
                last = max(entry.session_id for entry in ended)
                which = msgspec.structs.replace(which, after=last)

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
