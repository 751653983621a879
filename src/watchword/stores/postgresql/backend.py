"""The database as a whole: whether it answers, its sweep, its end."""

from __future__ import annotations

from watchword.core import limits
from watchword.core.limits import (
    AUDIT_RETENTION,
    STATS_KEPT,
    SWEEP_AFTER,
    SWEEP_LOOK,
    WEBHOOK_SHOWN,
)
from watchword.stores.postgresql.connections import Connections
from watchword.stores.sql.stretches import OVER_AT_ONCE


class PostgresqlBackend:
    """Implements `ports.Backend`."""

    def __init__(self, database: Connections) -> None:
        self._database = database
        self._sweep_from = b""

    async def check(self) -> None:
        await self._database.query("check")

    async def sweep(self, now: int, limit: int) -> int:
        count = await self._sweep_sessions(now, limit)
        for name, edge in (
            ("sweep_feed", now),
            *((name, now) for name in OVER_AT_ONCE),
            ("sweep_audit", now - AUDIT_RETENTION),
            ("sweep_stats", now - STATS_KEPT),
            ("sweep_deliveries", now - WEBHOOK_SHOWN),
            ("sweep_many_deliveries", limits.WEBHOOK_SHOWN_MAX),
        ):
            count += len(await self._database.query(name, edge, limit))
        return count

    async def _sweep_sessions(self, now: int, limit: int) -> int:
        # Walks the table in order of key, one stretch per call. There is no index by
        # deadline, because it would be written at every refresh.
        query, begin = self._database.query, self._sweep_from
        stretch = await query("sweep_step", begin, SWEEP_LOOK)
        if not stretch and begin:  # at the end of the table: start again
            begin = b""
            stretch = await query("sweep_step", begin, SWEEP_LOOK)
        count = 0
        for (end,) in stretch:
            over = (begin, end, now - SWEEP_AFTER, limit)
            count = len(await query("sweep_sessions", *over))
            if count < limit:
                self._sweep_from = end
        return count

    async def close(self) -> None:
        await self._database.close()
