"""Audit events that any caller can cause: how many of them are written.

An attempt that a throttle refuses costs the caller nothing, and a durable row would
cost the server a disk write and 400 days of room. So one event a minute is written for
each counter that refused (a network, a name, a client), and of each type no more than
a ceiling for the process, whatever the callers do. What the ceiling leaves out is
counted in the next event of that type (`left_out`) and logged.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from watchword.core import limits
from watchword.core.throttle import Cost, take
from watchword.ports import Event, EventType

Record = Callable[[Event], Awaitable[None]]

_KEPT: Final = 10_000
_log = logging.getLogger("watchword.audit")


class Seldom:
    """Once a minute for each key.

    Memory, not state: what is forgotten costs a repeated event at most.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, int] = OrderedDict()

    def is_due(self, now: int, *keys: str) -> bool:
        """Whether none of these keys has had its turn; if so, none has for a minute."""
        # The distance is absolute: a clock set back silences nothing.
        for key in keys:
            told = self._told.get(key)
            if told is not None and abs(now - told) < limits.MINUTE:
                return False
        for key in keys:
            self._told[key] = now
            self._told.move_to_end(key)
        while len(self._told) > _KEPT:
            self._told.popitem(last=False)
        return True


class EventLimit:
    """Writes such events with `record`, within the bounds of this module."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._seldom = Seldom()
        self._ceilings: dict[str, int] = {}
        self._left_out: Counter[EventType] = Counter()

    async def record(self, event: Event, *keys: str) -> None:
        """Write the event, unless one of `keys` has had one within a minute.

        Raises StoreUnavailable.
        """
        if not self._seldom.is_due(event.at, *keys) or not self._is_below(event):
            return
        left_out = self._left_out.pop(event.type, 0)
        if left_out:
            event = replace(event, detail={**event.detail, "left_out": left_out})
        try:
            await self._record(event)
        except BaseException:  # cancelled, too: the next event tells of them
            self._left_out[event.type] += left_out
            raise

    def _is_below(self, event: Event) -> bool:
        """Whether the type has room; if not, the event is counted as left out."""
        ceiling = Cost(event.type, limits.EVENT_BURST, limits.EVENT_INTERVAL)
        counters, wait = take(self._ceilings, [ceiling], event.at)
        self._ceilings |= counters
        if not wait:
            return True
        self._left_out[event.type] += 1
        if self._seldom.is_due(event.at, f"ceiling of {event.type}"):
            _log.warning(
                "more events %s than the audit log takes: some are only counted",
                event.type,
            )
        return False
