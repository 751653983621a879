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
_OFTEN: Final = 300
"""So often is asked at least: what gets no processor's time waits, and does not hang.

A test that shares its processor with much that comes first, as at `nice -n 19`, is
given little of these seconds. So is the process that it waits for.
"""


def until(done: Callable[..., object], *given: object) -> None:
    """Ask until that is so: another process has to get there, and sends no word."""
    deadline = time.monotonic() + PATIENCE
    asked = 1
    while not done(*given):
        hangs = time.monotonic() > deadline and asked > _OFTEN
        assert not hangs, "it did not come"
        time.sleep(_PAUSE)
        asked += 1


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
