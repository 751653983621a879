"""Work that no caller waits for to its end: tried again for a while, and bounded.

What is undone after a failure (a session that was begun, an attempt that was counted)
is undone here, for the store may be away at that very moment. Memory, not state: a
process that ends forgets what it still had to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from watchword.errors import TryAgain

PAUSES: Final = (0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60, 60)
"""Seconds between two tries: five minutes in all."""

PENDING_MAX: Final = 1000
"""Pieces of work at once: each has a task and what it closes over, some 2 KB."""

PATIENCE: Final = 1.0
"""Seconds that a caller waits for the first try, before its own answer."""

_CLOSING: Final = 2.0
_log = logging.getLogger("watchword")


class Background:
    """Runs work beside its callers. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, work: Callable[[], Awaitable[object]], what: str
    ) -> asyncio.Future[None]:
        """Begin the work; the future is done once it has been tried for the first time.

        Tried again while it raises TryAgain. `what` names it in the log.
        """
        tried: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._tasks) >= PENDING_MAX:
            _log.error("%s: not done, too much is waiting to be done", what)
            tried.set_result(None)
            return tried
        task = asyncio.create_task(_try(work, what, tried))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return tried

    async def close(self) -> None:
        """Give what runs a moment to succeed, then give up."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def waited(tried: asyncio.Future[None]) -> None:
    """Wait for the first try, but not for long: the store may be what is away."""
    await asyncio.wait((tried,), timeout=PATIENCE)


async def _try(
    work: Callable[[], Awaitable[object]], what: str, tried: asyncio.Future[None]
) -> None:
    try:
        for pause in (*PAUSES, None):
            try:
                await work()
            except TryAgain:
                if pause is None:
                    _log.error("%s: not done, the store was away for too long", what)
                    return
            else:
                return
            if not tried.done():
                tried.set_result(None)
            await asyncio.sleep(pause or 0)
    except Exception:  # noqa: BLE001 - logged; its caller has its own answer
        _log.exception("%s: failed", what)
    finally:
        if not tried.done():
            tried.set_result(None)
