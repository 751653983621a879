"""Work that goes on when its caller has its answer: tried again for a while, bounded.

After a failure something may have to be undone: a session that was begun, an attempt
that was counted. That is done here, because the store may be away at that very moment.
The work is kept in memory only: a process that ends forgets what it still had to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from watchword.errors import TryAgain

PAUSES: Final = (0.5, 1, 2, 4, 8, 15, 30, 60, 60, 60, 60)
"""Seconds between one try and the next: five minutes in all."""

PENDING_MAX: Final = 1000
"""Pieces of work at once. Each is a task with its closure, about 2 KB."""

FIRST_TRY_TIMEOUT: Final = 1.0
"""Seconds that a caller waits for the first try, before its own answer."""

_CLOSING: Final = 2.0
_log = logging.getLogger("watchword")


class Background:
    """Runs work in tasks of its own. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, work: Callable[[], Awaitable[object]], what: str
    ) -> asyncio.Future[None]:
        """Begin the work. The future is done when the first try has ended.

        The work is tried again while it raises TryAgain. `what` names it in the log.
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
        """Wait a moment for the work that is under way, then cancel it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def wait_briefly(tried: asyncio.Future[None]) -> None:
    """Wait for the first try, but not for long: the store may be away."""
    await asyncio.wait((tried,), timeout=FIRST_TRY_TIMEOUT)


async def _try(
    work: Callable[[], Awaitable[object]], what: str, tried: asyncio.Future[None]
) -> None:
    try:
        await _try_for_a_while(work, what, tried)
    except Exception:  # noqa: BLE001 - logged; the caller has an answer already
        _log.exception("%s: failed", what)
    finally:
        if not tried.done():
            tried.set_result(None)


async def _try_for_a_while(
    work: Callable[[], Awaitable[object]], what: str, tried: asyncio.Future[None]
) -> None:
    for pause in (*PAUSES, None):
        with contextlib.suppress(TryAgain):
            await work()
            return
        if pause is not None:
            if not tried.done():
                tried.set_result(None)
            await asyncio.sleep(pause)
    _log.error("%s: not done, the store was away for too long", what)
