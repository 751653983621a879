"""What is recorded of a change to a user's factors, and what the user is told of it."""

from __future__ import annotations

from typing import Unpack

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.session import as_text
from watchword.core.throttle import Cost
from watchword.errors import Throttled
from watchword.mail.message import MailPurpose
from watchword.notices import FactorNotices, Said
from watchword.ports.audit import Event, EventType, Trail
from watchword.ports.credentials import Credential
from watchword.ports.throttle import Throttle


class FactorTrails:
    """Makes the trails of changes. `told` says that one of them is written."""

    def __init__(
        self, notices: FactorNotices, throttle: Throttle, clock: Clock
    ) -> None:
        self._notices = notices
        self._throttle = throttle
        self._clock = clock
        self.told = notices.told

    async def count(self, by: By, account_id: bytes, purpose: MailPurpose) -> None:
        """Count a change that a user makes a few times an hour. Raises Throttled.

        Or else one user could fill the outbox and keep the mail of all others waiting.
        """
        if by.actor is Actor.USER:
            rate = limits.ACCOUNT_CHANGE_BURST, limits.ACCOUNT_CHANGE_INTERVAL
            cost = Cost(f"change:{purpose}:{account_id.hex()}", *rate)
            if wait := await self._throttle.take([cost], self._clock()):
                message = "The factors were changed too often: try again later."
                raise Throttled(message, retry_after=wait // limits.SECOND + 1)

    async def of(
        self,
        account_id: bytes,
        purpose: MailPurpose,
        *events: Event,
        **said: Unpack[Said],
    ) -> Trail:
        """The events, and the messages for that purpose."""
        return Trail(events, await self._notices.of(account_id, purpose, **said))

    def event(
        self,
        kind: EventType,
        account_id: bytes,
        by: By,
        factor: Credential | None = None,
        **more: str | int | bool,
    ) -> Event:
        """An event of that user, with the id and the kind of the factor, if any."""
        if factor is not None:
            more |= {"factor": as_text(factor.id), "kind": factor.kind}
        return Event(
            type=kind,
            at=self._clock(),
            account_id=account_id,
            address=by.address,
            detail=by.detail(**more),
        )
