"""A TCP proxy that cuts a connection after so many bytes, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

Way = Literal["request", "answer"]


class Proxy:
    """Passes bytes on, both ways, and counts them. Use `proxy`.

    While it is frozen, `held` says whether there is something to pass on.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.passed: dict[Way, int] = {"request": 0, "answer": 0}
        self.held = False
        self._behind = port
        self._left: dict[Way, int] = {}
        self._closed = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def cut_after(self, way: Way, number: int) -> None:
        """Count anew. Pass so many bytes more that way, then cut, once."""
        self.count()
        self._left = {way: number}

    def count(self) -> None:
        """Count anew, and cut nothing."""
        self.passed = {"request": 0, "answer": 0}
        self._left = {}

    def freeze(self) -> None:
        """Pass nothing more, and close nothing: whoever waits is told nothing."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and what follows."""
        self._flowing.set()

    def cut(self) -> None:
        """Close what is open, and from now on what comes."""
        self._closed = True
        for writer in self._connections.values():
            writer.close()

    def mend(self) -> None:
        """Pass on again what comes from now on."""
        self._closed = False

    @property
    def has_cut(self) -> bool:
        """Whether what was asked for has been done."""
        return not self._left

    def connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Somebody is there: known at once, so that `close` forgets nobody."""
        if self._closed:
            writer.close()
            return
        task = asyncio.create_task(self._connect(reader, writer))
        self._connections[task] = writer

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection, until either side ends it or it is cut."""
        with suppress(OSError, asyncio.CancelledError):  # the latter by `close`
            there, onward = await asyncio.open_connection("127.0.0.1", self._behind)
            ways = [
                asyncio.create_task(self._pass("request", reader, onward)),
                asyncio.create_task(self._pass("answer", there, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                onward.close()
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        writer.close()  # what was passed arrives first

    async def _pass(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65536):
            self.held = not self._flowing.is_set()
            await self._flowing.wait()
            left = self._left.get(way)
            passing = data if left is None else data[:left]
            self.passed[way] += len(passing)
            writer.write(passing)
            if left is None:
                continue
            self._left[way] = left - len(passing)
            if not self._left[way]:
                self._left = {}
                return

    async def close(self) -> None:
        self._closed = True
        for task, writer in self._connections.items():
            task.cancel()
            writer.close()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def proxy(port: int, at: int = 0) -> AsyncIterator[Proxy]:
    """A proxy before what listens on that port of loopback; itself on a free one."""
    made = Proxy(port)
    server = await asyncio.start_server(made.connected, "127.0.0.1", at)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
