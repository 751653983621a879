"""A proxy before PostgreSQL that counts how often its client waits for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

# Sync, Flush and a simple Query: what follows is the server's turn.
_TURNS = b"SHQ"


class Counter:
    """Counts exchanges. Use `counting`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.exchanges = 0
        self._behind = urlsplit(url).port

    async def connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._behind)
        answers = asyncio.create_task(_pass(there, writer))
        with suppress(asyncio.IncompleteReadError):
            await _message(reader, onward, b"")
            while True:
                kind = await reader.readexactly(1)
                await _message(reader, onward, kind)
                self.exchanges += kind in _TURNS
        onward.close()
        await answers


async def _message(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: bytes
) -> None:
    """Pass one message on. The first of a connection is of no kind."""
    size = await reader.readexactly(4)
    body = await reader.readexactly(int.from_bytes(size) - len(size))
    writer.write(kind + size + body)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def counting(url: str) -> AsyncIterator[Counter]:
    """Another way to that database, on which exchanges are counted."""
    counter = Counter(url)
    server = await asyncio.start_server(counter.connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    counter.url = f"{url.replace(f':{counter._behind}/', f':{port}/')}?sslmode=disable"
    try:
        yield counter
    finally:
        server.close()
