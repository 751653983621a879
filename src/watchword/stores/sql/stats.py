"""Figures of each minute, in a table of their own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.core.session import Alive
from watchword.ports.stats import Stat, Totals
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.rows import as_row


class SqlStats:
    """Implements `StatsStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, counts: Sequence[Stat], levels: Sequence[Stat]) -> None:
        def plan() -> Plan[None]:
            # In order: two processes that wait for each other's rows deadlock.
            yield "add_stat", sorted(as_row(one) for one in counts)
            yield "raise_stat", sorted(as_row(one) for one in levels)

        if counts or levels:
            await self._database.write_plan(plan)

    async def read(self, since: int, until: int) -> list[Stat]:
        rows = await self._database.query("read_stats", since, until)
        return [Stat(*row) for row in rows]

    async def totals(self, alive: Alive) -> Totals:
        query = self._database.query
        ((accounts, disabled, with_factor),) = await query("totals")
        ((live,),) = await query("count_sessions", *msgspec.structs.astuple(alive))
        return Totals(accounts, disabled, with_factor, live)
