"""Tickets that serve once: continuations, and challenges of passkeys."""

from __future__ import annotations

import hashlib

from watchword.core import limits
from watchword.errors import ContinuationExpired
from watchword.ports.once import ReplayCache


async def spend_ticket(once: ReplayCache, name: str, now: int) -> None:
    """Spend a ticket by its name (`Tickets.id_of`), at `now` (ms).

    Of all callers that spend one, one succeeds. The others get ContinuationExpired.
    Raises StoreUnavailable.
    """
    key = hashlib.sha256(b"ticket" + name.encode()).digest()
    until = now + limits.CONTINUATION_LIFE + limits.FEED_LEEWAY
    (is_first,) = await once.use_once([(key, until)])
    if not is_first:
        raise ContinuationExpired
