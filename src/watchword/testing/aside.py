"""A thread with an event loop of its own: the same for tests with a loop and without.

Whoever calls waits. So what runs there runs beside nothing that the test does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Aside:
    """Runs coroutines one after the other. To be closed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "watchword-testing")
        self._runner = asyncio.Runner()  # makes its loop where it is first used

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns, or raises."""
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        """End the loop and the thread."""
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
