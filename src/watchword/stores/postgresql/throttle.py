"""The throttle's counters: read with a lock and written in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from watchword.core.throttle import Cost, give_back, take
from watchword.errors import StoreUnavailable
from watchword.stores.postgresql import connections
from watchword.stores.postgresql.connection import Connection
from watchword.stores.postgresql.connections import Connections, Result


class PostgresqlThrottle:
    """Implements `Throttle`."""

    def __init__(self, database: Connections) -> None:
        self._database = database
        self._lock = asyncio.Lock()

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        keys = sorted((cost.key,) for cost in costs)

        async def work(connection: Connection) -> int:
            counters = await _locked(connection, keys)
            taken, wait = take(counters, costs, now)
            if taken:
                rows = [
                    (*item, counters.get(item[0])) for item in sorted(taken.items())
                ]
                if len(await connection.fetch_many("throttle_write", rows)) < len(rows):
                    # Repeated, as if the server had raised it: a counter has changed.
                    raise asyncpg.SerializationError
            return wait

        return await self._one_at_a_time(work)

    async def give_back(
        self, costs: Sequence[Cost], *, forget: Sequence[str] = ()
    ) -> None:
        given = {cost.key: cost for cost in costs}
        keys = sorted((key,) for key in {*given, *forget})
        if not keys:
            return

        async def work(connection: Connection) -> None:
            counters = await _locked(connection, keys)
            if forget:
                await connection.fetch_many("throttle_forget", [(k,) for k in forget])
            rows = [
                (key, give_back(counter, given[key]), counter)
                for key, counter in counters.items()
                if key not in forget
            ]
            if rows:
                await connection.fetch_many("throttle_write", rows)

        await self._one_at_a_time(work)

    async def _one_at_a_time(
        self, work: Callable[[Connection], Awaitable[Result]]
    ) -> Result:
        # One call after the other. Otherwise each call that waits for the lock of one
        # name would hold a connection, until none was left for refreshes and the feed.
        try:
            async with asyncio.timeout(connections.QUERY_TIMEOUT), self._lock:
                return await self._database.transaction(work)
        except TimeoutError as error:
            raise StoreUnavailable from error


async def _locked(connection: Connection, keys: Sequence[tuple[str]]) -> dict[str, int]:
    """The counters that exist, locked until the end of the transaction."""
    rows = await connection.fetch_many("throttle_lock", keys)
    return {row[0]: row[1] for row in rows}
