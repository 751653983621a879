"""Raw bytes to a port, as many connections at once as a test likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

# So that a packet is read before the next one is sent, nearly always: what a test
# promises holds in either case.
PAUSE = 0.005


async def exchange(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send each piece by itself; all that came back until the other side closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = asyncio.create_task(_all_of(reader))
    try:
        for piece in pieces:
            if received.done():  # the rest is sent to nobody
                break
            writer.write(piece)
            with contextlib.suppress(OSError):
                await writer.drain()
            await asyncio.sleep(PAUSE if len(piece) > 1 else 0)
        return await received
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    received = b""
    with contextlib.suppress(OSError):
        while more := await reader.read(65536):
            received += more
    return received
