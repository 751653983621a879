"""Where what comes over a connection is read into."""

from __future__ import annotations

import threading
from typing import Final

# One read, and so also all that is held of requests that come before their turn.
READ_MAX: Final = 16 * 1024


class Reading(threading.local):
    """Where a read is put: one place for all connections of an event loop.

    It is copied out before the next read begins. With one for each connection,
    thousands that leave at once would leave 16 KiB behind, each. A view, because
    asyncio's TLS fills it by slices.
    """

    def __init__(self) -> None:
        self.place = memoryview(bytearray(READ_MAX))


READING: Final = Reading()
