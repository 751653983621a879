"""The connections to one file: one that writes, and two that read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from watchword.errors import StoreUnavailable, WatchwordError
from watchword.ports.audit import Event
from watchword.ports.sessions import SessionExists
from watchword.reasons import reason_of
from watchword.stores.sql.database import REFUSALS, Plan
from watchword.stores.sql.files import load_statements
from watchword.stores.sql.rows import Row, event_row
from watchword.stores.sqlite.connection import connect
from watchword.stores.sqlite.migrations import migrate
from watchword.stores.sqlite.writer import Writer

Result = TypeVar("Result")


class Connections:
    """Opens the file, brings its schema up to date, reads, writes and closes it.

    Raises StoreUnavailable, SchemaError.
    """

    def __init__(self, path: Path) -> None:
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
        self.sql: Final = load_statements("sqlite")
        self.writer: Final = Writer(connection)
        # For the event loop: short reads by key.
        self.loop_reader: Final = connect(path)
        # For a thread: lists, one at a time. A thread and not a lock: when the caller
        # of a list is cancelled, the read goes on, and no other read may use the
        # connection meanwhile.
        self._thread_reader = connect(path)
        self._reader_thread = ThreadPoolExecutor(1, "sqlite-reader")

    def read_now(self, name: str, *values: Any) -> list[Row]:  # noqa: ANN401
        """The rows of a statement that finds a few of them by their key."""
        try:
            return list(self.loop_reader.execute(self.sql[name], values))
        except apsw.Error as error:
            raise StoreUnavailable from error

    async def read(self, name: str, *values: Any) -> list[Row]:  # noqa: ANN401
        """See `read_now`."""
        return self.read_now(name, *values)

    async def query(self, name: str, *values: Any) -> list[Row]:  # noqa: ANN401
        """The rows of a statement that may take longer, read in a thread."""

        def read() -> list[Row]:
            return list(self._thread_reader.execute(self.sql[name], values))

        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._reader_thread, read)
        except (apsw.Error, RuntimeError) as error:  # RuntimeError: closed
            raise StoreUnavailable from error

    async def write_many(self, name: str, rows: Sequence[Row]) -> list[Row]:
        """Run the statement once with each of `rows`; all rows that it returns."""
        if not rows:
            return []
        return await self.writer.do(
            lambda connection: list(connection.executemany(self.sql[name], rows))
        )

    async def write_plan(self, plan: Callable[[], Plan[Result]]) -> Result:
        """Run the statements of a plan as one transaction, and return its result.

        Raises what the plan raises, with nothing written.
        """
        return await self.write(lambda connection: self.carry_out(connection, plan()))

    async def write(
        self, job: Callable[[apsw.Connection], Result], *, urgent: bool = False
    ) -> Result:
        """The result of a job that may raise one of REFUSALS, with nothing written."""

        def undone_alone(
            connection: apsw.Connection,
        ) -> Result | WatchwordError | SessionExists:
            try:
                with connection:  # a savepoint: other jobs of the batch stand
                    result = job(connection)
            except REFUSALS as refused:
                return refused
            return result

        outcome = await self.writer.do(undone_alone, urgent=urgent)
        if isinstance(outcome, REFUSALS):
            raise outcome
        return outcome

    def carry_out(self, connection: apsw.Connection, plan: Plan[Result]) -> Result:
        """Run the statements of a plan, in a job of the writer; its result."""
        found: list[Row] | None = None
        while True:
            try:
                name, rows = next(plan) if found is None else plan.send(found)
            except StopIteration as end:
                result: Result = end.value
                return result
            found = list(connection.executemany(self.sql[name], rows))

    def record(self, connection: apsw.Connection, events: Sequence[Event]) -> None:
        """Write these events, in a job of the writer."""
        if events:
            connection.executemany(self.sql["record"], map(event_row, events))

    async def close(self) -> None:
        """Commit what was accepted, then end the threads and the connections."""
        await self.writer.close()
        await asyncio.to_thread(self._reader_thread.shutdown)
        self._thread_reader.close()
        self.loop_reader.close()
