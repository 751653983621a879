"""How many live sessions a user may have, and what ends the others."""

from __future__ import annotations

from watchword.core.actor import SYSTEM, EndReason
from watchword.core.policies import Policies
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import SessionLimit


def limit_of(
    most: int | None,
    policies: Policies,
    replaced: bytes | None,
    address: str,
    now: int,
) -> SessionLimit | None:
    """The limit for a sign-in at `now` (ms) from `address`; None where there is none.

    `replaced` is the id of a group that does not count.
    """
    if most is None:
        return None
    reason = EndReason.SESSIONS_MAX
    return SessionLimit(
        most=most,
        alive=policies.maybe_alive(now),
        reason=reason,
        event=Event(
            type=EventType.SESSION_REVOKED,
            at=now,
            address=address,
            detail=SYSTEM.detail(reason=reason),
        ),
        replaced=replaced,
    )
