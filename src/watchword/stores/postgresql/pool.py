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
FAREWELL: Final = 2.0


class Pool:
    """Hands out connections. Where none is idle, a new one is made on demand."""

    def __init__(self, servers: Servers, first: Connection) -> None:
        self._servers = servers
        self._now = asyncio.get_running_loop().time
        self._room = asyncio.Semaphore(SIZE)
        self._idle: list[Connection] = [first]
        self._busy: set[Connection] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        first.release()

    async def take(self, deadline: float) -> Connection:
        """A connection for one caller, within `deadline` of the loop's clock.

        Waiting callers are served in turn. Raises one of `FAULTS`, or SettingsError.
        """
        if self._room.locked():
            async with asyncio.timeout_at(deadline):
                await self._room.acquire()
        else:
            await self._room.acquire()
        try:
            line = self._warm() or await self._servers.connect(deadline - self._now())
        except BaseException:
            self._room.release()
            raise
        line.acquire(deadline)
        self._busy.add(line)
        return line

    def give(self, line: Connection) -> None:
        """Take a connection back from its caller, for the next one."""
        self._back(line)
        self._idle.append(line)

    def drop(self, line: Connection) -> None:
        """Take a connection back from its caller and close it."""
        self._back(line)
        self._let_go(line)

    def drop_idle(self) -> None:
        """Close all idle connections."""
        while self._idle:
            self._let_go(self._idle.pop())

    def drop_busy(self) -> None:
        """Break the connections in use, so that their callers get an error now."""
        for line in self._busy:
            line.raw.terminate()

    async def close(self) -> None:
        """Close all idle connections and wait until they are closed."""
        self.drop_idle()
        await asyncio.gather(*self._leaving)

    def _back(self, line: Connection) -> None:
        line.release()
        self._busy.discard(line)
        self._room.release()

    def _warm(self) -> Connection | None:
        while self._idle:
            line = self._idle.pop()
            if self._now() - line.idle_since < IDLE_MAX and not line.raw.is_closed():
                return line
            self._let_go(line)
        return None

    def _let_go(self, line: Connection) -> None:
        # In the background, because a server that hangs does not answer the farewell.
        task = asyncio.create_task(_leave(line))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _leave(line: Connection) -> None:
    with contextlib.suppress(*FAULTS):
        await line.raw.close(timeout=FAREWELL)
    line.raw.terminate()
