"""Figures of each minute in the store of records, and the sessions of this store."""

from __future__ import annotations

from typing import Final

import msgspec

from watchword.core.session import Alive
from watchword.ports.stats import StatsStore, Totals
from watchword.stores.redis.index import Index


class RedisStats:
    """Implements `StatsStore`."""

    def __init__(self, records: StatsStore, index: Index) -> None:
        self._records = records
        self._index = index
        self.add: Final = records.add
        self.read: Final = records.read
        self.sums: Final = records.sums

    async def totals(self, alive: Alive) -> Totals:
        totals = await self._records.totals(alive)
        live = await self._index.count_live(alive)
        return msgspec.structs.replace(totals, sessions=live)
