"""The throttle's counters: read and written in one job of the writer."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from watchword.core.throttle import Cost, give_back, take
from watchword.stores.sqlite.connections import Connections


class SqliteThrottle:
    """Implements `Throttle`."""

    def __init__(self, file: Connections) -> None:
        self._sql = file.sql
        self._writer = file.writer

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        def job(connection: apsw.Connection) -> int:
            counters = {
                cost.key: connection.execute(
                    self._sql["throttle_read"], (cost.key,)
                ).get
                for cost in costs
            }
            taken, wait = take(counters, costs, now)
            connection.executemany(self._sql["throttle_write"], taken.items())
            return wait

        return await self._writer.do(job)

    async def give_back(
        self, costs: Sequence[Cost], *, forget: Sequence[str] = ()
    ) -> None:
        def job(connection: apsw.Connection) -> None:
            for key in forget:
                connection.execute(self._sql["throttle_forget"], (key,))
            for cost in costs:
                row = connection.execute(self._sql["throttle_read"], (cost.key,)).get
                if row is not None:
                    values = (cost.key, give_back(row, cost))
                    connection.execute(self._sql["throttle_write"], values)

        await self._writer.do(job)
