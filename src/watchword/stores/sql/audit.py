"""The audit log, in a table of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from watchword.core.limits import AUDIT_DISORDER
from watchword.ports.audit import Event, EventFilter, EventPage
from watchword.stores.sql.database import Database
from watchword.stores.sql.rows import can_be_stored, event_of, event_row

# Before and after all numbers and instants.
_FIRST: Final = 0
_LAST: Final = 2**62

# The fields of a filter that have an index, those that few events share first.
_INDEXES: Final = ("session_id", "account_id", "address", "types")

EventRows = Callable[[int, int], Awaitable[Sequence[Any]]]


class SqlAuditLog:
    """Implements `AuditLog`. `read` returns the rows after a sequence number."""

    def __init__(self, database: Database, read: EventRows) -> None:
        self._database = database
        self._rows = read

    async def record(self, event: Event) -> None:
        await self._database.write_many("record", [event_row(event)])

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        rows = [(*event_row(event), place) for place, event in events]
        await self._database.write_many("adopt", rows)

    async def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        return [event_of(row) for row in await self._rows(after, limit)]

    async def last(self) -> int:
        ((last,),) = await self._database.read("last_event")
        return int(last)

    async def search(
        self, wanted: EventFilter, *, before: int | None = None, limit: int, look: int
    ) -> EventPage:
        if not can_be_stored(wanted.address):
            return EventPage([])
        low, high = await self._recorded(wanted)
        if before is not None:
            high = min(high, before)
        asked = [name for name in _INDEXES if getattr(wanted, name)]
        walk, *others = asked or [""]
        size = limit + 1  # one more says whether there is one
        if others or (wanted.since, wanted.until) != (None, None):
            walks = len(wanted.types) if walk == "types" else 1
            size = max(size, look // walks)
        types = sorted(wanted.types)
        rows = await self._database.query(
            "search_events",
            *(walk, high, low, size),
            *(wanted.session_id, wanted.account_id, wanted.address),
            msgspec.json.encode(types).decode() if types else None,
            _FIRST if wanted.since is None else wanted.since,
            _LAST if wanted.until is None else wanted.until,
            limit + 1,
        )
        end = rows[0][0]
        found = [event_of(row[1:]) for row in rows if row[1] is not None]
        if len(found) > limit:
            return EventPage(found[:limit], found[limit - 1][0])
        return EventPage(found, end)

    async def _recorded(self, wanted: EventFilter) -> tuple[int, int]:
        """The least number of an event that may be meant, and the least beyond all."""
        low, high = _FIRST, _LAST
        if wanted.since is not None:
            low = await self._before(wanted.since - AUDIT_DISORDER) + 1
        if wanted.until is not None:
            high = await self._before(wanted.until + AUDIT_DISORDER) + 1
        return low, high

    async def _before(self, instant: int) -> int:
        ((sequence,),) = await self._database.query("event_before", instant)
        return int(sequence)
