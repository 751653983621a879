"""Figures of each minute, in a table of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from watchword.core.limits import SWEEP_LOOK
from watchword.core.session import Alive
from watchword.ports.stats import Stat, Sum, Totals
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.rows import as_row

_PAUSE: Final = 0.02
"""Seconds between two stretches: lists and refreshes go on meanwhile."""


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

    async def sums(self, since: int, until: int) -> list[Sum]:
        rows = await self._database.query("sum_stats", since, until)
        return [Sum(*row) for row in rows]

    async def totals(self, alive: Alive) -> Totals:
        ((accounts, disabled, with_factor),) = await self._database.query("totals")
        live = await self._live(alive)
        return Totals(accounts, disabled, with_factor, live)

    async def _live(self, alive: Alive) -> int:
        """How many sessions are alive, counted a stretch at a time."""
        edges = msgspec.structs.astuple(alive)
        live = 0
        onward: bytes | None = b""
        while onward is not None:
            ((onward, more),) = await self._database.query(
                "count_sessions", *edges, onward, SWEEP_LOOK
            )
            live += more
            if onward is not None:
                await asyncio.sleep(_PAUSE)
        return live
