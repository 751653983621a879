"""Audit events as a line of text, and how many are written of what any caller causes.

An attempt that a throttle refuses costs the caller nothing. A durable row for it would
cost the server a disk write and disk space for 400 days. So one event a minute is
written for each counter that refused (of a network, a name, a client). For each type of
event the process also has a ceiling, whatever the callers do. Events above the ceiling
are logged, and the next event of that type has their number (`left_out`).
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from watchword.core import limits
from watchword.core.session import as_text
from watchword.core.throttle import Cost, take
from watchword.ports.audit import Event, EventType

Record = Callable[[Event], Awaitable[None]]

_KEPT: Final = 10_000
_log = logging.getLogger("watchword.audit")


class OncePerMinute:
    """Says whether something is due that is done once a minute for each key.

    Kept in memory only: a key that is forgotten costs a repeated event at most.
    """

    def __init__(self) -> None:
        self._recorded: OrderedDict[str, int] = OrderedDict()

    def is_due(self, now: int, *keys: str) -> bool:
        """Whether no key has had its turn within a minute. If so, they have it now."""
        # The distance is absolute, so that a clock set back silences nothing.
        for key in keys:
            recorded = self._recorded.get(key)
            if recorded is not None and abs(now - recorded) < limits.MINUTE:
                return False
        for key in keys:
            self._recorded[key] = now
            self._recorded.move_to_end(key)
        while len(self._recorded) > _KEPT:
            self._recorded.popitem(last=False)
        return True


class AuditLimit:
    """Writes events that callers can cause, within the bounds of this module.

    `record` writes one event.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._once_per_minute = OncePerMinute()
        self._ceilings: dict[str, int] = {}
        self._left_out: Counter[EventType] = Counter()

    async def record(self, event: Event, *keys: str) -> None:
        """Write the event, unless one of `keys` has had one within a minute.

        An event above the ceiling of its type is only counted. Raises StoreUnavailable.
        """
        if not self._once_per_minute.is_due(event.at, *keys):
            return
        if not self._is_below(event):
            return
        left_out = self._left_out.pop(event.type, 0)
        if left_out:
            event = replace(event, detail={**event.detail, "left_out": left_out})
        try:
            await self._record(event)
        except BaseException:  # also where cancelled: the next event has their number
            self._left_out[event.type] += left_out
            raise

    def _is_below(self, event: Event) -> bool:
        """Whether its type is below the ceiling. If not, counts it as left out."""
        ceiling = Cost(event.type, limits.EVENT_BURST, limits.EVENT_INTERVAL)
        counters, wait = take(self._ceilings, [ceiling], event.at)
        self._ceilings |= counters
        if not wait:
            return True
        self._left_out[event.type] += 1
        if self._once_per_minute.is_due(event.at, f"ceiling of {event.type}"):
            _log.warning(
                "more events %s than the audit log takes: some are only counted",
                event.type,
            )
        return False


def facts_of(sequence: int, event: Event) -> dict[str, Any]:
    """The event as a line of JSON has it, on the command line and in a download."""
    at = datetime.fromtimestamp(event.at / 1000, UTC)
    return {
        "sequence": sequence,
        "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "type": event.type.value,
        "subject": None if event.account_id is None else as_text(event.account_id),
        "session": None if event.session_id is None else as_text(event.session_id),
        "client": event.client_id,
        "address": event.address,
        "detail": dict(event.detail),
    }
