"""The throttle's counters: a sorted set, scored by an instant.

The set is in one slot, so that one call counts all its keys in one atomic step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from watchword.core.throttle import Cost, give_back, take
from watchword.errors import StoreUnavailable
from watchword.stores.redis.keys import Keys
from watchword.stores.redis.scripts import script
from watchword.stores.redis.servers import Servers

Counts = dict[str, int | None]

# Attempts to count. One fails only because another process counted first.
TRIES: Final = 100
ANSWER_TIMEOUT: Final = 4.0
"""Seconds for all attempts, with the wait for earlier calls of this process."""


class RedisThrottle:
    """Implements `Throttle`."""

    def __init__(self, servers: Servers, keys: Keys) -> None:
        self._servers = servers
        self._keys = keys
        # Tasks of one process take turns. Otherwise each of them would mostly read
        # counters that another one is about to change.
        self._lock = asyncio.Lock()

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        wait = 0

        def taken(counts: Counts) -> Mapping[str, int | None]:
            nonlocal wait
            after, wait = take(counts, costs, now)
            return after

        await self._recount([cost.key for cost in costs], taken)
        return wait

    async def give_back(
        self, costs: Sequence[Cost], *, forget: Sequence[str] = ()
    ) -> None:
        def given_back(counts: Counts) -> Mapping[str, int | None]:
            counts |= dict.fromkeys(forget)
            for cost in costs:
                count = counts[cost.key]
                if count is not None:
                    counts[cost.key] = give_back(count, cost)
            return counts

        await self._recount([*(cost.key for cost in costs), *forget], given_back)

    async def _recount(
        self,
        names: Sequence[str],
        after: Callable[[Counts], Mapping[str, int | None]],
    ) -> None:
        """Set these counters to the values that `after` returns for them.

        Those that it does not return stay as they are.
        """
        if not names:
            return
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT), self._lock:
                for _ in range(TRIES):
                    if await self._recounted(names, after):
                        return
        except TimeoutError as error:
            raise StoreUnavailable from error
        raise StoreUnavailable

    async def _recounted(
        self,
        names: Sequence[str],
        after: Callable[[Counts], Mapping[str, int | None]],
    ) -> bool:
        """Try once; False where another process counted in between."""
        keys = self._keys
        (found,) = await self._servers.ask(
            keys.request("ZMSCORE", keys.throttle, *names)
        )
        read = dict(zip(names, found, strict=True))
        counts = {
            name: None if score is None else int(float(score))
            for name, score in read.items()
        }
        values: list[str | bytes | int] = []
        for name, count in after(counts).items():
            values += (name, read[name] or b"", "" if count is None else count)
        if not values:
            return True
        recount = script("recount").on(
            keys.slot(keys.throttle), [keys.throttle], values
        )
        return await self._servers.ask(recount) == [1]
