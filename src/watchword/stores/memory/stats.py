"""Figures of each minute, for charts."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.core.session import Alive
from watchword.ports.credentials import FACTORS
from watchword.ports.stats import Stat, Sum, Totals
from watchword.stores.memory.rows import Memory


class MemoryStats:
    """Implements `StatsStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, counts: Sequence[Stat], levels: Sequence[Stat]) -> None:
        rows = self._memory.stats
        for one in counts:
            key = one.minute, one.name, one.labels
            rows[key] = rows.get(key, 0) + one.n
        for one in levels:
            key = one.minute, one.name, one.labels
            rows[key] = max(rows.get(key, 0), one.n)

    async def read(self, since: int, until: int) -> list[Stat]:
        rows = sorted(self._memory.stats.items())
        return [Stat(*key, n) for key, n in rows if since <= key[0] < until]

    async def sums(self, since: int, until: int) -> list[Sum]:
        found: dict[tuple[str, str], list[int]] = {}
        for one in await self.read(since, until):
            found.setdefault((one.name, one.labels), []).append(one.n)
        return [Sum(*key, sum(ns), max(ns)) for key, ns in sorted(found.items())]

    async def totals(self, alive: Alive) -> Totals:
        accounts = self._memory.accounts
        protected = {
            one.account_id
            for one in self._memory.credentials.values()
            if one.kind in FACTORS
        }
        disabled = sum(account.disabled for account in accounts.values())
        live = sum(map(alive.includes, self._memory.sessions.values()))
        return Totals(len(accounts), disabled, len(protected), live)
