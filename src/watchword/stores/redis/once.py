"""The keys used once: a sorted set, scored by the instant until which one is kept."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.stores.redis.keys import Keys
from watchword.stores.redis.scripts import script
from watchword.stores.redis.servers import Servers


class RedisReplayCache:
    """Implements `ReplayCache`."""

    def __init__(self, servers: Servers, keys: Keys) -> None:
        self._servers = servers
        self._keys = keys

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        if not uses:
            return []
        keys = self._keys
        values = [value for key, until in uses for value in (until, key)]
        (first,) = await self._servers.ask(
            script("use_once").on(keys.slot(keys.once), [keys.once], values)
        )
        return [digit == ord("1") for digit in first]
