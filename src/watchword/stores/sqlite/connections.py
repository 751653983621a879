"""The connections of a store to its file, and which thread uses which.

One connection writes, in a thread of its own. One reads by key, on the event loop. One
reads lists, in a second thread. This module has what every group of verbs needs:
reading, writing, and the audit record that goes with a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import apsw

from watchword.clocks import Entropy
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event
from watchword.reasons import reason_of
from watchword.stores.sql_files import Migration, load_statements, path_of
from watchword.stores.sql_rows import Row, event_row
from watchword.stores.sqlite.database import connect, migrate, pending
from watchword.stores.sqlite.writer import Writer


class Connections:
    """Opens the file, brings its schema up to date, reads, writes and closes it."""

    @classmethod
    async def open(cls, url: str, entropy: Entropy) -> Self:
        return cls(url, entropy)

    @classmethod
    async def migrate(cls, url: str, *, apply: bool) -> list[Migration]:
        connection = None
        try:
            connection = connect(path_of(url))
            return migrate(connection) if apply else pending(connection)
        except apsw.Error as error:
            message = f"cannot migrate {path_of(url)}: {reason_of(error)}"
            raise StoreUnavailable(message) from error
        finally:
            if connection is not None:
                connection.close()

    def __init__(self, url: str, entropy: Entropy) -> None:
        del entropy  # SQLite draws the incarnation when the schema is made
        path = path_of(url)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The mode is set before SQLite opens the file: the WAL has the same content
            # and gets the same mode.
            path.touch(mode=0o600)
            path.chmod(0o600)
            connection = connect(path)
            migrate(connection)
        except (OSError, apsw.Error) as error:
            message = f"cannot open {path}: {reason_of(error)}"
            raise StoreUnavailable(message) from error
        self._sql = load_statements("sqlite")
        self._writer = Writer(connection)
        self._loop_reader = connect(path)  # for the event loop: short reads by key
        self._thread_reader = connect(path)  # for a thread: lists, one at a time
        # A thread and not a lock: when the caller of a list is cancelled, the read goes
        # on, and no other read may use the connection meanwhile.
        self._reader_thread = ThreadPoolExecutor(1, "sqlite-reader")

    def _read(self, name: str, values: Sequence[Any] = ()) -> list[Row]:
        try:
            return list(self._loop_reader.execute(self._sql[name], values))
        except apsw.Error as error:
            raise StoreUnavailable from error

    async def _query_in_thread(self, name: str, values: Sequence[Any]) -> list[Row]:
        def read() -> list[Row]:
            return list(self._thread_reader.execute(self._sql[name], values))

        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._reader_thread, read)
        except (apsw.Error, RuntimeError) as error:  # RuntimeError: closed
            raise StoreUnavailable from error

    async def _write_one(
        self, name: str, values: Sequence[Any], event: Event | None
    ) -> bool:
        """Whether the statement wrote its row. If it did, the event is recorded too."""

        def job(connection: apsw.Connection) -> bool:
            written = bool(list(connection.execute(self._sql[name], values)))
            if written and event is not None:
                self._record(connection, [event])
            return written

        return await self._writer.do(job)

    async def _write_many(self, name: str, rows: Sequence[Row]) -> None:
        def job(connection: apsw.Connection) -> None:
            connection.executemany(self._sql[name], rows)

        await self._writer.do(job)

    def _record(self, connection: apsw.Connection, events: Sequence[Event]) -> None:
        if events:
            connection.executemany(self._sql["record"], map(event_row, events))

    async def check(self) -> None:
        await self._query_in_thread("check", ())

    async def close(self) -> None:
        await self._writer.close()
        await asyncio.to_thread(self._reader_thread.shutdown)
        self._thread_reader.close()
        self._loop_reader.close()
