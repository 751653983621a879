"""The session of an authorization code: written once, and found again.

The rule for a session that is there already is `judge_code` in `core/code.py`.
"""

from __future__ import annotations

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.code import judge_code
from watchword.core.policies import Policies
from watchword.core.rotation import End, Presented, Refuse
from watchword.core.session import Session, TokenSet
from watchword.errors import CodeReused, StoreUnavailable
from watchword.ports.audit import AuditLog, Event, EventType
from watchword.ports.sessions import SessionExists, SessionStore
from watchword.revocation.tracker import RevocationTracker
from watchword.sessions.claims_hook import ClaimsHook, claims_from
from watchword.sessions.issuing import TokenIssuer
from watchword.sessions.limit import limit_of
from watchword.sessions.retries import Retries
from watchword.sessions.verdicts import ending


class Redeemer:
    """Finds and writes the sessions of codes."""

    def __init__(
        self,
        *,
        store: SessionStore,
        audit: AuditLog,
        token_issuer: TokenIssuer,
        revocations: RevocationTracker,
        policies: Policies,
        clock: Clock,
        sessions_max: int | None,
        claims_hook: ClaimsHook | None,
    ) -> None:
        self._store = store
        self._retries = Retries(audit.record)
        self._token_issuer = token_issuer
        self._revocations = revocations
        self._policies = policies
        self._clock = clock
        self._sessions_max = sessions_max
        self._claims_hook = claims_hook

    async def find(self, presented: Presented) -> Session | None:
        """The session of a code, if this request may have its tokens once more.

        None where there is no session yet. Raises CodeInvalid; CodeReused, with the
        session ended; InvalidScope, InvalidTarget, Throttled, StoreUnavailable.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            (row,) = await self._store.load([presented.session_id])
            if row is None:
                return None
            now = self._clock()
            match judge_code(row, presented, self._policies.apps, now):
                case Refuse(error):
                    self._revocations.note_revoked(row)
                    raise error
                case End(reason):
                    change = ending(row, presented, reason, now)
                    (done,) = await self._store.swap([change])
                    if done:
                        self._revocations.note_revoked(change.after)
                        raise CodeReused
                case _:
                    self._retries.count(row, presented.address, now)
                    return row
        raise StoreUnavailable

    async def create(self, session: Session) -> bool:
        """Write the session of a code; whether this request did.

        False means that another request had written it before. A store that gave no
        answer is asked again: otherwise a user would have to sign in anew. Raises
        Overloaded, StoreUnavailable.
        """
        now, address = session.rotated_at, session.address
        by = By(Actor.USER).detail()
        event = Event.about(EventType.SIGN_IN, session, address, now, **by)
        limit = limit_of(self._sessions_max, self._policies, None, address, now)
        is_in_doubt = False
        for _ in range(limits.SWAP_ATTEMPTS):
            try:
                ended = await self._store.create(session, event, limit)
            except SessionExists:
                return is_in_doubt and await self._is_there(session)
            except StoreUnavailable:
                is_in_doubt = True
            else:
                self._revocations.add(ended)
                return True
        raise StoreUnavailable

    async def _is_there(self, session: Session) -> bool:
        """Whether the row is the one that this request has written, as it wrote it."""
        (row,) = await self._store.load([session.id])
        return row == session

    async def tokens_of(self, session: Session, presented: Presented) -> TokenSet:
        """The tokens of the session's current generation. Raises StoreUnavailable."""
        extra = await claims_from(self._claims_hook, session)
        return self._token_issuer.issue(
            session, presented.secret, presented.requested, extra, self._clock()
        )
