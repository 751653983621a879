"""How every verb asks the server: within a time limit, and again where that is safe.

This module has what every port needs: to run statements, and several of them as one
transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import asyncpg

from watchword.clocks import Entropy
from watchword.core import limits
from watchword.errors import ConfigurationError, StoreUnavailable
from watchword.stores.postgresql.connection import FAULTS, Connection, Rows
from watchword.stores.postgresql.pool import Pool
from watchword.stores.sql.database import REFUSALS, Plan
from watchword.stores.sql.rows import Row

Result = TypeVar("Result")

QUERY_TIMEOUT: Final = 5.0
"""Seconds after which every caller has an answer."""

OVERLAP: Final = int(2 * QUERY_TIMEOUT * limits.SECOND)
"""How far back (ms) a read of the feed looks, by the server's clock.

A write that was acknowledged became visible within half of this time, so no reader can
have missed it.
"""

# Seconds before another attempt when another transaction came in between: the first and
# the longest pause.
_PAUSE, _PAUSE_MAX = 0.002, 0.1
NO_EVENT: Final = (None,) * 7

# Another transaction came first. Under SERIALIZABLE and REPEATABLE READ that is common;
# a deadlock should never happen. The transaction was undone, so it can be repeated.
_AGAIN: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# Errors that one statement caused itself. After any other error the connection is
# closed: it may have lost its server, or the server may no longer take writes.
_HARMLESS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
)


class Connections:
    """Runs statements and transactions over the pool, and closes it."""

    def __init__(self, pool: Pool, entropy: Entropy) -> None:
        self._pool = pool
        self._entropy = entropy
        self._now = asyncio.get_running_loop().time
        self._working: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `work`, which is one transaction, and return its result.

        The transaction is repeated where another one came in between. Raises
        StoreUnavailable; whether it was committed is not known then. If the caller is
        cancelled, the work goes on to its end, and its connection stays in order.
        """
        if self._closed:
            raise StoreUnavailable
        task = asyncio.create_task(self._attempts(work, self._now() + QUERY_TIMEOUT))
        self._working.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait((task,), timeout=QUERY_TIMEOUT)
        if not task.done():
            self._pool.close_idle()
            raise StoreUnavailable
        return task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            # Retrieved, so that asyncio does not log it when no caller waits any more.
            task.exception()

    async def _attempts(
        self, work: Callable[[Connection], Awaitable[Result]], deadline: float
    ) -> Result:
        pause = _PAUSE
        while True:
            try:
                connection = await self._pool.acquire(deadline)
            except (*FAULTS, ConfigurationError) as error:
                raise StoreUnavailable from error
            try:
                result = await work(connection)
            except _AGAIN as error:
                self._pool.release(connection)
                if self._now() + pause >= deadline:
                    raise StoreUnavailable from error
            except _HARMLESS as error:
                self._pool.release(connection)
                raise StoreUnavailable from error
            except FAULTS as error:
                self._pool.discard(connection)
                self._pool.close_idle()
                raise StoreUnavailable from error
            except REFUSALS:  # of a plan, and undone
                self._pool.release(connection)
                raise
            except BaseException:
                self._pool.discard(connection)
                raise
            else:
                self._pool.release(connection)
                return result
            # A random part, so that the transactions do not meet again.
            await asyncio.sleep(pause * (1 + self._entropy(1)[0] / 256))
            pause = min(2 * pause, _PAUSE_MAX)

    async def transaction(
        self, work: Callable[[Connection], Awaitable[Result]]
    ) -> Result:
        """See `run`. Here `work` is several statements, which make one transaction."""
        return await self.run(lambda connection: connection.transaction(work))

    async def query(self, name: str, *values: Any) -> Rows:  # noqa: ANN401
        """The rows of one statement."""
        return await self.run(lambda connection: connection.fetch(name, *values))

    read = query

    async def write_many(self, name: str, rows: Sequence[Row]) -> Rows:
        """Run the statement once with each of `rows`; all rows that it returns."""
        if not rows:
            return []
        return await self.run(lambda connection: connection.fetch_many(name, rows))

    async def write_plan(self, plan: Callable[[], Plan[Result]]) -> Result:
        """Run the statements of a plan as one transaction, and return its result.

        Raises what the plan raises, with nothing written.
        """

        async def work(connection: Connection) -> Result:
            try:
                return await _carry_out(connection, plan())
            except asyncpg.UniqueViolationError as error:
                # Another transaction came first. Repeated, the plan finds its row.
                raise asyncpg.SerializationError from error

        return await self.transaction(work)

    async def close(self) -> None:
        """Let work that has begun end, but not for long, then close the pool."""
        if not self._closed:
            self._closed = True
            if self._working:
                await asyncio.wait(self._working, timeout=QUERY_TIMEOUT)
            self._pool.break_busy()
            await asyncio.gather(*self._working, return_exceptions=True)
            await self._pool.close()


async def _carry_out(connection: Connection, plan: Plan[Result]) -> Result:
    found: Rows | None = None
    while True:
        try:
            name, rows = next(plan) if found is None else plan.send(found)
        except StopIteration as end:
            result: Result = end.value
            return result
        found = await connection.fetch_many(name, rows) if rows else []
