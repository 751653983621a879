"""The audit log, in a table of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from watchword.ports.audit import Event
from watchword.stores.sql.database import Database
from watchword.stores.sql.rows import event_of, event_row

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
