"""The few connections of a process, the warmest first.

A server that went away took all of them along, and each would be found out only by
waiting for it: where one fails, those that are idle then go with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from watchword.stores.postgresql.lines import FAULTS, Line, Servers

# Two for the batches of refreshes; sign-ins, logouts, the feed and the keys have the
# rest. A connection costs the server some megabytes, and there are many processes.
SIZE: Final = 8
# Seconds. Firewalls forget a silent connection after five minutes or so.
IDLE_MAX: Final = 120.0
FAREWELL: Final = 2.0


class Pool:
    """Hands out connections; one that nobody has is made when it is asked for."""

    def __init__(self, servers: Servers, first: Line) -> None:
        self._servers = servers
        self._now = asyncio.get_running_loop().time
        self._room = asyncio.Semaphore(SIZE)
        self._idle: list[Line] = [first]
        self._busy: set[Line] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        first.given_back()

    async def take(self, deadline: float) -> Line:
        """A connection for one caller, by then. Raises one of `FAULTS`, SettingsError.

        Who waits is served in turn.
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
        line.taken(deadline)
        self._busy.add(line)
        return line

    def give(self, line: Line) -> None:
        """Back from its caller, and in order."""
        self._back(line)
        self._idle.append(line)

    def drop(self, line: Line) -> None:
        """Back from its caller, and not to be used again."""
        self._back(line)
        self._let_go(line)

    def drop_idle(self) -> None:
        """Those that nobody has are not to be used again."""
        while self._idle:
            self._let_go(self._idle.pop())

    def drop_busy(self) -> None:
        """Whoever has one waits for its server in vain, and hears so."""
        for line in self._busy:
            line.raw.terminate()

    async def close(self) -> None:
        """Let go of those that nobody has."""
        self.drop_idle()
        await asyncio.gather(*self._leaving)

    def _back(self, line: Line) -> None:
        line.given_back()
        self._busy.discard(line)
        self._room.release()

    def _warm(self) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if self._now() - line.idle_since < IDLE_MAX and not line.raw.is_closed():
                return line
            self._let_go(line)
        return None

    def _let_go(self, line: Line) -> None:
        # In the background: a server that hangs does not say goodbye.
        task = asyncio.create_task(_leave(line))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _leave(line: Line) -> None:
    with contextlib.suppress(*FAULTS):
        await line.raw.close(timeout=FAREWELL)
    line.raw.terminate()
