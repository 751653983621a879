"""What lies between a store and PostgreSQL: it counts, and can fall silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

# Sync, Flush and a simple Query: what follows is the server's turn.
_TURNS = b"SHQ"


class Between:
    """Another way to a database. Use `between`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.exchanges = 0
        self._port = urlsplit(url).port
        self._silenced = 0
        self._connections: set[asyncio.Task[None] | None] = set()

    def fall_silent(self) -> None:
        """From now on, on the connections that there are, nothing arrives."""
        self._silenced += 1

    async def connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection, until either side ends it."""
        self._connections.add(asyncio.current_task())
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(_pass(there, writer))
        before = self._silenced
        kind = b""  # the first message is of none
        with suppress(asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(size) - len(size))
                if before == self._silenced:
                    onward.write(kind + size + body)
                    self.exchanges += kind in _TURNS and kind != b""
                kind = await reader.readexactly(1)
        onward.close()
        await answers

    async def over(self) -> None:
        """Once both sides have ended all of them."""
        await asyncio.gather(*(one for one in self._connections if one is not None))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def between(url: str) -> AsyncIterator[Between]:
    """Another way to that database."""
    way = Between(url)
    server = await asyncio.start_server(way.connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    way.url = f"{url.replace(f':{way._port}/', f':{port}/')}?sslmode=disable"
    try:
        yield way
    finally:
        server.close()
        await way.over()
