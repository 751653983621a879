"""The servers as a whole, with the store of records: check, sweep, close."""

from __future__ import annotations

from watchword.core.limits import SWEEP_AFTER
from watchword.ports.backend import Backend
from watchword.stores.redis.audit import Outbox
from watchword.stores.redis.feed import Feed
from watchword.stores.redis.index import Index
from watchword.stores.redis.keys import Keys
from watchword.stores.redis.scripts import script
from watchword.stores.redis.servers import Servers


class RedisBackend:
    """Implements `ports.Backend`. `records` is the backend of the store of records."""

    def __init__(
        self,
        servers: Servers,
        keys: Keys,
        *,
        index: Index,
        feed: Feed,
        outbox: Outbox,
        records: Backend,
    ) -> None:
        self._servers = servers
        self._keys = keys
        self._index = index
        self._feed = feed
        self._outbox = outbox
        self._records = records

    async def check(self) -> None:
        await self._feed.incarnation()
        await self._records.check()

    async def sweep(self, now: int, limit: int) -> int:
        await self._outbox.drain()
        swept = await self._index.sweep(now - SWEEP_AFTER, limit)
        swept += await self._feed.sweep(now, limit)
        swept += await self._sweep_counters(now, limit)
        return swept + await self._records.sweep(now, limit)

    async def _sweep_counters(self, now: int, limit: int) -> int:
        """Delete counters that have run down, and used keys that are past."""
        keys = self._keys
        return sum(
            await self._servers.ask(
                *(
                    script("run_down").on(
                        keys.slot(name), [name], (now, limit), repeatable=True
                    )
                    for name in (keys.throttle, keys.once)
                )
            )
        )

    async def close(self) -> None:
        await self._servers.close()
        await self._records.close()
