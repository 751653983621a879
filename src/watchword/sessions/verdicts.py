"""What a verdict on a token records: that a session ended, or was behind its client."""

from __future__ import annotations

from typing import Final

from watchword.core.actor import SYSTEM, EndReason
from watchword.core.rotation import Presented
from watchword.core.session import Session
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import Change

_EVENTS: Final = {
    EndReason.REUSE: EventType.TOKEN_REUSE,
    EndReason.CODE_REUSED: EventType.CODE_REUSED,
}


def ending(row: Session, presented: Presented, reason: EndReason, now: int) -> Change:
    """The end of the session for that reason, with its event."""
    event = Event.about(
        _EVENTS.get(reason, EventType.SESSION_REVOKED),
        row,
        presented.address,
        now,
        **SYSTEM.detail(reason=reason),
        presented=presented.generation,
        current=row.generation,
        rotated_from=row.address,
    )
    return Change(row, row.ended(reason, now), event)


def rewinding(row: Session, presented: Presented, now: int) -> Event:
    """The event where a token is ahead of its session: the store has lost writes."""
    return Event.about(
        EventType.TOKEN_REWOUND,
        row,
        presented.address,
        now,
        lost=presented.generation - row.generation,
        **SYSTEM.detail(),
    )
