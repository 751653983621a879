"""The few connections of a process, the one used last first.

When a server goes away, all connections to it are lost, and each would be noticed only
by waiting for it. So when one fails, all that are idle at that moment are closed too.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from watchword.stores.postgresql.connection import FAULTS, Connection, Servers

# Two are for the batches of refreshes, the others for sign-ins, logouts, the feed and
# the keys. A connection costs the server some megabytes, and there are many processes.
SIZE: Final = 8
# Seconds. Firewalls forget a silent connection after about five minutes.
IDLE_MAX: Final = 120.0
CLOSE_TIMEOUT: Final = 2.0


class Pool:
    """Hands out connections. Where none is idle, a new one is made on demand."""

    def __init__(self, servers: Servers, first: Connection) -> None:
        self._servers = servers
        self._now = asyncio.get_running_loop().time
        self._slots = asyncio.Semaphore(SIZE)
        self._idle: list[Connection] = [first]
        self._busy: set[Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        first.end_use()

    async def acquire(self, deadline: float) -> Connection:
        """A connection for one caller, within `deadline` of the loop's clock.

        Waiting callers are served in turn. Raises one of `FAULTS`, or SettingsError.
        """
        if self._slots.locked():
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        else:
            await self._slots.acquire()
        try:
            connection = self._usable_idle() or await self._servers.connect(
                deadline - self._now()
            )
        except BaseException:
            self._slots.release()
            raise
        connection.begin_use(deadline)
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back from its caller, for the next one."""
        self._take_back(connection)
        self._idle.append(connection)

    def discard(self, connection: Connection) -> None:
        """Take a connection back from its caller and close it."""
        self._take_back(connection)
        self._close_soon(connection)

    def close_idle(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._close_soon(self._idle.pop())

    def break_busy(self) -> None:
        """Break the connections in use, so that their callers get an error now."""
        for connection in self._busy:
            connection.raw.terminate()

    async def close(self) -> None:
        """Close all idle connections and wait until they are closed."""
        self.close_idle()
        await asyncio.gather(*self._closing)

    def _take_back(self, connection: Connection) -> None:
        connection.end_use()
        self._busy.discard(connection)
        self._slots.release()

    def _usable_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if (
                self._now() - connection.idle_since < IDLE_MAX
                and not connection.raw.is_closed()
            ):
                return connection
            self._close_soon(connection)
        return None

    def _close_soon(self, connection: Connection) -> None:
        # In the background, because a server that hangs does not answer.
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(connection: Connection) -> None:
    with contextlib.suppress(*FAULTS):
        await connection.raw.close(timeout=CLOSE_TIMEOUT)
    connection.raw.terminate()
