"""Figures of each minute in the store of records, and the sessions of this store."""

from __future__ import annotations

from typing import Final

from watchword.core.session import Alive
from watchword.ports.stats import StatsStore, Totals


class RedisStats:
    """Implements `StatsStore`."""

    def __init__(self, records: StatsStore) -> None:
        self._records = records
        self.add: Final = records.add
        self.read: Final = records.read

    async def totals(self, alive: Alive) -> Totals:
        return await self._records.totals(alive)
