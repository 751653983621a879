"""How long a test waits for what must come.

Not how fast it should come: a machine with other work to do may be ten times as slow.
A test that has waited so long hangs. What the product promises in seconds is tested by
its own clock, or by the order of events.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE: Final = 300.0
_PAUSE: Final = 0.02


def until(done: Callable[..., object], *given: object) -> None:
    """Ask until that is so: another process has to get there, and tells nobody."""
    deadline = time.monotonic() + PATIENCE
    while not done(*given):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(_PAUSE)


async def auntil(
    done: Callable[..., object] | Callable[..., Awaitable[object]], *given: object
) -> None:
    """The same beside other tasks; `done` may be a coroutine function."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = done(*given)
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(_PAUSE)
