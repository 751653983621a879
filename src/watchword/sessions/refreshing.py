"""A refresh: prove, load, judge, sign, swap, answer, for a whole batch at once.

The rule is in `core/rotation.py`. The swap writes a row only if it is still as it was
when it was judged. A row that has changed meanwhile is loaded and judged again. No step
that can fail comes after the swap.

A refresh that ends its session is judged a second time, in a batch of its own. Writing
the end may take longer than a rotation, because it waits for a disk or a standby, and
the other refreshes of the batch must not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from watchword.batching import Batcher
from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import Actor, By, EndReason
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
from watchword.core.session import Policy, Session, TokenSet
from watchword.errors import (
    InvalidProof,
    Overloaded,
    RefreshInvalid,
    RefreshReused,
    SessionExpired,
    SessionRevoked,
    StoreUnavailable,
)
from watchword.metrics import Metrics
from watchword.metrics.catalog import Counter
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.batches import outcomes_of
from watchword.ports.sessions import Change, SessionStore
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions.claims_hook import NONE, ClaimsHook, claims_from
from watchword.sessions.issuing import TokenIssuer
from watchword.sessions.retries import Retries
from watchword.sessions.verdicts import ending, rewinding
from watchword.tokens.dpop import Proofs, Signed

_REFRESHES: Final = Counter.REFRESHES
_REFUSED: Final[Mapping[type[Exception], str]] = {
    RefreshInvalid: "invalid",
    SessionExpired: "expired",
    SessionRevoked: "revoked",
}
_Outcome = TokenSet | asyncio.Future[TokenSet]


class _Attempt(msgspec.Struct, frozen=True):
    """One refresh on its way through a batch."""

    presented: Presented
    claims: Mapping[str, Any]
    proof: Signed | None
    only_refused: bool = False
    """Whether it may be refused or end its session, but not be answered by tokens."""


class _Plan(msgspec.Struct, frozen=True):
    """What a verdict means: the answer, and the change that must be written before."""

    answer: TokenSet | Exception
    verdict: str
    change: Change | None = None

    @property
    def ends(self) -> bool:
        """Whether this plan ends the session."""
        return self.change is not None and self.change.after.revoked_at is not None


class Refresher:
    """Refreshes of one process, in one event loop."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        audit: AuditLog,
        token_issuer: TokenIssuer,
        revocations: RevocationTracker,
        policy: Policy,
        clock: Clock,
        claims_hook: ClaimsHook | None,
        proofs: Proofs | None,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._sessions = sessions
        self._token_issuer = token_issuer
        self._revocations = revocations
        self._policy = policy
        self._clock = clock
        self._claims_hook = claims_hook
        self._proofs = proofs
        self._retries = Retries(audit.record)
        self._batcher: Batcher[_Attempt, _Outcome] = Batcher(
            self._refresh_batch, parted=sessions.is_remote
        )
        self._ending: Batcher[_Attempt, TokenSet] = Batcher(self._end_batch)

    async def refresh(self, presented: Presented, proof: Signed | None) -> TokenSet:
        """The tokens of the next generation; see `Sessions.refresh`."""
        extra = NONE if self._claims_hook is None else await self._ahead(presented)
        return await self._answer(_Attempt(presented, extra, proof))

    async def look(self, presented: Presented, proof: Signed | None) -> Session:
        """The session, if a refresh would be answered by tokens. Nothing is spent.

        Otherwise it raises as that refresh, and ends the session where that would.
        """
        row = await self._honoured(presented)
        if row is None:
            await self._answer(_Attempt(presented, NONE, proof, only_refused=True))
            raise StoreUnavailable  # not reached: such an attempt has no tokens
        return row

    async def _answer(self, attempt: _Attempt) -> TokenSet:
        outcome = await self._batcher.submit(attempt.presented.session_id, attempt)
        if isinstance(outcome, TokenSet):
            return outcome
        return await asyncio.shield(outcome)

    async def _refresh_batch(
        self, attempts: Sequence[_Attempt]
    ) -> Sequence[_Outcome | Exception]:
        """The outcome of each attempt: tokens, an error, or a future of one of them.

        The future is of a session that has to end: `_end_batch` answers it.
        """
        outcomes: list[_Outcome | Exception] = [StoreUnavailable()] * len(attempts)
        waiting = await self._proved(attempts, outcomes)
        await self._judge_and_write(attempts, waiting, outcomes, ending=False)
        return outcomes

    def _end_apart(self, attempt: _Attempt) -> asyncio.Future[TokenSet] | Overloaded:
        """End the session, even if no request waits for the answer any more."""
        try:
            answer = self._ending.submit(attempt.presented.session_id, attempt)
        except Overloaded as error:
            return error
        # Retrieved, so that asyncio does not log it. A waiting request has it too.
        answer.add_done_callback(asyncio.Future.exception)
        return answer

    async def _end_batch(
        self, attempts: Sequence[_Attempt]
    ) -> Sequence[TokenSet | Exception]:
        # The proofs of these attempts were good, and are used up already.
        outcomes: list[_Outcome | Exception] = [StoreUnavailable()] * len(attempts)
        every = range(len(attempts))
        await self._judge_and_write(attempts, every, outcomes, ending=True)
        # With `ending`, none of the outcomes is a future: this filter is for the types.
        return [one for one in outcomes if not isinstance(one, asyncio.Future)]

    async def _judge_and_write(
        self,
        attempts: Sequence[_Attempt],
        waiting: Sequence[int],
        outcomes: list[_Outcome | Exception],
        *,
        ending: bool,
    ) -> None:
        """Fill in the outcomes of the attempts at these places.

        Without `ending`, an attempt that would end its session is left to a batch of
        its own.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            now = self._clock()
            try:
                ids = [attempts[place].presented.session_id for place in waiting]
                rows = await outcomes_of(self._sessions.load(ids))
                plans = {
                    place: self._plan(attempts[place], row, now)
                    for place, row in zip(waiting, rows, strict=True)
                }
                if not ending:
                    for place in [p for p, plan in plans.items() if plan.ends]:
                        outcomes[place] = self._end_apart(attempts[place])
                        del plans[place]
                    waiting = list(plans)
                missed = await self._swap(plans, outcomes)
            except Exception as error:  # noqa: BLE001 - raised in waiting requests
                # Attempts that were answered in an earlier turn keep their answer: the
                # rotation was written, and a client that sent no retry key could not
                # ask for it again.
                for place in waiting:
                    outcomes[place] = error
                break
            counts: dict[str, int] = {}
            for place, plan in plans.items():
                if place not in missed:
                    outcomes[place] = plan.answer
                    counts[plan.verdict] = counts.get(plan.verdict, 0) + 1
            for verdict, number in counts.items():
                self._metrics.count(_REFRESHES, verdict, n=number)
            if not missed:
                return
            waiting = sorted(missed)
        self._metrics.count(_REFRESHES, "unavailable", n=len(waiting))

    async def _proved(
        self, attempts: Sequence[_Attempt], outcomes: list[_Outcome | Exception]
    ) -> list[int]:
        """The places of the attempts with a good proof, or with none.

        Where a proof fails, its error is the outcome, and the session is not loaded.
        """
        shown = {place: one.proof for place, one in enumerate(attempts) if one.proof}
        faults: Sequence[Exception | None] = [InvalidProof()] * len(shown)
        if shown and self._proofs is not None:
            faults = await self._proofs.settle(list(shown.values()))
        refused = {p: f for p, f in zip(shown, faults, strict=True) if f is not None}
        for place, fault in refused.items():
            outcomes[place] = fault
        return [place for place in range(len(attempts)) if place not in refused]

    async def _swap(
        self, plans: Mapping[int, _Plan], outcomes: list[_Outcome | Exception]
    ) -> set[int]:
        """Write the changes of the plans. Returns the places of missed changes.

        Their rows had changed meanwhile, or the store failed. That fault is their
        outcome, unless they are judged again in time.
        """
        changing = {p: plan.change for p, plan in plans.items() if plan.change}
        if not changing:
            return set()
        # After a fault it is not known whether the changes were written. Each attempt
        # is judged again, and finds its own rotation if it was.
        try:
            swapped = await outcomes_of(self._sessions.swap(list(changing.values())))
        except StoreUnavailable as fault:
            swapped = [fault] * len(changing)
        missed = set()
        for (place, change), done in zip(changing.items(), swapped, strict=True):
            if done is True:
                self._revocations.note_revoked(change.after)
                continue
            missed.add(place)
            if isinstance(done, StoreUnavailable):
                outcomes[place] = done
        return missed

    def _plan(
        self, attempt: _Attempt, row: Session | StoreUnavailable | None, now: int
    ) -> _Plan:
        if isinstance(row, StoreUnavailable):
            return _Plan(row, "unavailable")
        try:
            return self._plan_for(attempt, row, now)
        except Exception as error:  # noqa: BLE001 - it concerns this attempt only
            return _Plan(error, "refused")

    def _plan_for(self, attempt: _Attempt, row: Session | None, now: int) -> _Plan:
        presented, policy = attempt.presented, self._policy
        verdict = judge(row, presented, policy, now)
        if row is None or isinstance(verdict, Refuse):
            assert isinstance(verdict, Refuse)  # noqa: S101 - without a row: always
            if row is not None:
                self._revocations.note_revoked(row)
            return _Plan(verdict.error(), _REFUSED.get(verdict.error, "refused"))
        after, event, name = row, None, "same"
        match verdict:
            case Rotate(generation, rewound, early):
                key = presented.retry_key or ""
                spent_with = retry_hash(presented.secret, presented.generation, key)
                after = row.rotated(
                    generation, spent_with, presented.address, policy, now, early=early
                )
                name = "rotated"
                if rewound:
                    name = "rewound"
                    event = rewinding(row, presented, now)
            case End(reason):
                reuse = reason is EndReason.REUSE
                error = RefreshReused() if reuse else SessionRevoked()
                name = "reused" if reuse else "restored"
                return _Plan(error, name, ending(row, presented, reason, now))
            case Retry():
                name = "retry"
                self._retries.count(row, presented.address, now)
            case Same():
                pass
        if attempt.only_refused:  # the row that `look` has read was an older one
            return _Plan(StoreUnavailable(), "unavailable")
        risen = _risen(after, presented, row.version + 1)
        if risen is not None:
            after, event = risen, event or _step_up(risen, presented.address, now)
        tokens = self._token_issuer.issue(
            after, presented.secret, presented.requested, attempt.claims, now
        )
        change = None if after is row else Change(row, after, event)
        return _Plan(tokens, name, change)

    async def _ahead(self, presented: Presented) -> Mapping[str, Any]:
        """The app's own claims for the session of the token.

        They are asked for before the batch, so that no other refresh waits for them.
        The hook may be slow, so it is called only for a token that would be honoured.
        """
        row = await self._honoured(presented)
        return NONE if row is None else await claims_from(self._claims_hook, row)

    async def _honoured(self, presented: Presented) -> Session | None:
        """The session, if its token would be honoured at this moment."""
        (row,) = await self._sessions.load([presented.session_id])
        verdict = judge(row, presented, self._policy, self._clock())
        return None if isinstance(verdict, Refuse | End) else row


def _risen(session: Session, presented: Presented, version: int) -> Session | None:
    """The session after what its user has proved; None if that changes nothing."""
    if presented.proved is None:
        return None
    risen = session.proved(presented.proved)
    return None if risen == session else msgspec.structs.replace(risen, version=version)


def _step_up(session: Session, address: str, now: int) -> Event:
    by = By(Actor.USER).detail(acr=session.acr, amr=" ".join(session.amr))
    return Event.about(EventType.STEP_UP, session, address, now, **by)
