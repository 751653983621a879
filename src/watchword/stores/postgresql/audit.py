"""How the audit log is followed: no event of an open transaction is missed."""

from __future__ import annotations

import asyncio
from typing import Final

from watchword.stores.postgresql.connection import Connection, Rows
from watchword.stores.postgresql.connections import Connections

_LOOK_AGAIN: Final = 0.01


async def event_rows(database: Connections, after: int, limit: int) -> Rows:
    """The events that follow that sequence number, in order, `limit` at most."""

    async def work(connection: Connection) -> Rows:
        rows = await connection.fetch("read_events", after, limit)
        if rows and rows[-1][0] - after > len(rows):
            await _writers_done(connection)
            last = rows[-1][0]
            rows = await connection.fetch("read_events", after, limit)
            rows = [row for row in rows if row[0] <= last]
        return rows

    return await database.run(work)


async def _writers_done(connection: Connection) -> None:
    """Wait for the transactions that are writing to the audit log now.

    A missing sequence number may belong to one of them: it was drawn before numbers
    that are visible already. A reader that follows the log would go on past it and
    never see its event. Once these transactions are over, the event is visible or will
    never be.
    """
    writing = set(await connection.fetch("audit_writers"))
    while writing:
        await asyncio.sleep(_LOOK_AGAIN)
        writing &= set(await connection.fetch("audit_writers"))
