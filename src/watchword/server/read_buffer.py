"""The buffer that connections are read into."""

from __future__ import annotations

import threading
from typing import Final

# The bytes of one read. Of requests that come before their turn, no more than that is
# held.
READ_MAX: Final = 16 * 1024


class ReadBuffer(threading.local):
    """The buffer of a read: one for all connections of an event loop.

    What was read is copied out before the next read begins. If each connection had its
    own buffer, thousands that end at once would leave 16 KiB behind each. It is a
    memoryview, because asyncio's TLS fills it by slices.
    """

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_MAX))


READ_BUFFER: Final = ReadBuffer()
