"""The file as a whole: whether it can be read, its sweep, its end."""

from __future__ import annotations

import apsw

from watchword.core import limits
from watchword.core.limits import (
    AUDIT_RETENTION,
    STATS_KEPT,
    SWEEP_AFTER,
    SWEEP_LOOK,
    WEBHOOK_SHOWN,
)
from watchword.stores.sql.stretches import OVER_AT_ONCE, found
from watchword.stores.sqlite.connections import Connections


class SqliteBackend:
    """Implements `ports.Backend`."""

    def __init__(self, file: Connections) -> None:
        self._file = file
        self._sweep_from = b""

    async def check(self) -> None:
        await self._file.query("check")

    async def sweep(self, now: int, limit: int) -> int:
        # Walks the table in order of key, one stretch per call. There is no index by
        # deadline, because it would be written at every refresh.
        edge, sql = now - SWEEP_AFTER, self._file.sql
        find = self._file, "find_over", (edge,)
        ids, end = await found(*find, self._sweep_from, limit)
        if end is None and self._sweep_from:  # at the end of the table: start again
            ids, end = await found(*find, b"", limit)
        self._sweep_from = end or b""
        over = [(one, edge) for one in ids]
        query, most = self._file.query, limits.WEBHOOK_SHOWN_MAX
        shown = await query("find_old_deliveries", now - WEBHOOK_SHOWN, limit)
        shown = shown or await query("find_many_deliveries", most, limit)

        def job(connection: apsw.Connection) -> int:
            start = connection.total_changes()
            connection.executemany(sql["sweep_session"], over)
            connection.execute(sql["sweep_feed"], (now, limit, SWEEP_LOOK))
            for name in OVER_AT_ONCE:
                connection.execute(sql[name], (now, limit))
            connection.execute(sql["sweep_audit"], (now - AUDIT_RETENTION, limit))
            connection.execute(sql["sweep_stats"], (now - STATS_KEPT, limit))
            connection.executemany(sql["sweep_delivery"], shown)
            return connection.total_changes() - start

        return await self._file.writer.do(job)

    async def close(self) -> None:
        await self._file.close()
