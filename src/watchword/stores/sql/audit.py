"""The audit log, in a table of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from watchword.ports.audit import Event, EventFilter, EventPage
from watchword.stores.sql.database import Database
from watchword.stores.sql.rows import event_of, event_row

_AFTER_ALL: Final = 2**62

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
        begin = _AFTER_ALL if before is None else before
        stretch = await self._database.query("event_stretch", begin, look)
        if not stretch:
            return EventPage([])
        ((end, count),) = stretch
        rows = await self._database.query(
            "search_events",
            begin,
            end,
            " ".join(sorted(wanted.types)),
            wanted.account_id,
            wanted.session_id,
            wanted.address,
            wanted.since or 0,
            _AFTER_ALL if wanted.until is None else wanted.until,
            limit,
        )
        found = [event_of(row) for row in rows]
        if len(found) == limit:
            return EventPage(found, found[-1][0])
        return EventPage(found, end if count == look else None)
