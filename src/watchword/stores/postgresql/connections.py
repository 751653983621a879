"""How every verb gets at the server: within a time, started over where that is safe.

What every group of verbs needs stands here: asking, and writing with an audit record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self, TypeVar

import asyncpg

from watchword.core import limits
from watchword.errors import ConfigurationError, SchemaError, StoreUnavailable
from watchword.ports import Entropy, Event
from watchword.reasons import reason_of
from watchword.stores.postgresql.lines import FAULTS, Line, Rows, Servers
from watchword.stores.postgresql.migrations import migrate, pending
from watchword.stores.postgresql.pool import Pool
from watchword.stores.sql_files import Migration
from watchword.stores.sql_rows import Row, event_row

Result = TypeVar("Result")

PATIENCE: Final = 5.0
"""Seconds. Whoever asked for anything has an answer by then."""

# A little before, so that what waits for a lock, say, is given up at the server too.
_SERVERS_PART: Final = 0.8

OVERLAP: Final = int(2 * PATIENCE * limits.SECOND)
"""How far back (ms) a read of the feed looks, by the server's clock.

What was acknowledged became visible in half of that, and no reader has missed it.
"""

# Seconds between two attempts at what others got in the way of: the first, the longest.
_PAUSE, _PAUSE_MAX = 0.002, 0.1
NO_EVENT: Final = (None,) * 7

# Lost to others, as they would have been to us: SERIALIZABLE and REPEATABLE READ say so
# often, a deadlock never should. The transaction is undone, so it can be made again.
_AGAIN: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# What one statement brings upon itself. After anything else the connection goes: one
# that lost its server, or has one that no longer takes writes, is of no use.
_HARMLESS: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
)


class Connections:
    """Opens the store, refuses a schema that is not this one, and lets go of it."""

    @classmethod
    async def open(cls, url: str, entropy: Entropy) -> Self:
        servers = _servers(url)
        try:
            line = await servers.connect(PATIENCE)
            missing = await _pending(line)
        except FAULTS as error:
            message = f"cannot open the database: {reason_of(error)}"
            raise StoreUnavailable(message) from error
        if missing:
            line.raw.terminate()
            name = missing[0].name
            message = f"schema {name} is not in the database: run `watchword migrate`"
            raise SchemaError(message)
        return cls(Pool(servers, line), entropy)

    @classmethod
    async def migrate(cls, url: str, *, apply: bool) -> list[Migration]:
        try:
            line = await _servers(url).connect(PATIENCE)
            try:
                return await (migrate(line.raw) if apply else pending(line.raw))
            finally:
                line.raw.terminate()
        except FAULTS as error:
            message = f"cannot migrate the database: {reason_of(error)}"
            raise StoreUnavailable(message) from error

    def __init__(self, pool: Pool, entropy: Entropy) -> None:
        self._pool = pool
        self._entropy = entropy
        self._turn = asyncio.Lock()
        self._now = asyncio.get_running_loop().time
        self._working: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def _run(self, work: Callable[[Line], Awaitable[Result]]) -> Result:
        """What `work` returns. It is one transaction, and started over if it must be.

        Raises StoreUnavailable, and then what it wrote is there or is not. A caller
        that is cancelled disturbs nobody: what it asked for is done.
        """
        if self._closed:
            raise StoreUnavailable
        task = asyncio.create_task(self._attempts(work, self._now() + PATIENCE))
        self._working.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait((task,), timeout=PATIENCE)
        if not task.done():
            self._pool.drop_idle()
            raise StoreUnavailable
        return task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # seen, though nobody may wait for it any more

    async def _attempts(
        self, work: Callable[[Line], Awaitable[Result]], deadline: float
    ) -> Result:
        pause = _PAUSE
        while True:
            try:
                line = await self._pool.take(deadline)
            except (*FAULTS, ConfigurationError) as error:
                raise StoreUnavailable from error
            try:
                result = await work(line)
            except _AGAIN as error:
                self._pool.give(line)
                if self._now() + pause >= deadline:
                    raise StoreUnavailable from error
            except _HARMLESS as error:
                self._pool.give(line)
                raise StoreUnavailable from error
            except FAULTS as error:
                self._pool.drop(line)
                self._pool.drop_idle()
                raise StoreUnavailable from error
            except BaseException:
                self._pool.drop(line)
                raise
            else:
                self._pool.give(line)
                return result
            # Not all at once again.
            await asyncio.sleep(pause * (1 + self._entropy(1)[0] / 256))
            pause = min(2 * pause, _PAUSE_MAX)

    async def _run_whole(self, work: Callable[[Line], Awaitable[Result]]) -> Result:
        """The same for work of several statements."""
        return await self._run(lambda line: line.whole(work))

    async def _fetch(self, name: str, *values: Any) -> Rows:  # noqa: ANN401
        return await self._run(lambda line: line.fetch(name, *values))

    async def _fetch_many(self, name: str, rows: Sequence[Row]) -> Rows:
        if not rows:
            return []
        return await self._run(lambda line: line.fetch_many(name, rows))

    async def _write_one(self, name: str, values: Row, event: Event | None) -> bool:
        """Whether the statement wrote its row; the event is recorded if it did."""
        told = NO_EVENT if event is None else event_row(event)
        return bool(await self._fetch(name, *values, *told))

    async def check(self) -> None:
        await self._fetch("check")

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._working:
                await asyncio.wait(self._working, timeout=PATIENCE)
            self._pool.drop_busy()
            await asyncio.gather(*self._working, return_exceptions=True)
            await self._pool.close()


def _servers(url: str) -> Servers:
    return Servers(url, PATIENCE * _SERVERS_PART)


async def _pending(line: Line) -> list[Migration]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await pending(line.raw)
    except BaseException:
        line.raw.terminate()
        raise
