"""Keys that were used, in a table of their own."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.stores.sql.database import Database


class SqlReplayCache:
    """Implements `ReplayCache`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        # In order of key: two transactions that wait for each other's rows deadlock.
        rows = await self._database.write_many("use_once", sorted(uses))
        new = {row[0] for row in rows}
        return [key in new for key, _ in uses]
