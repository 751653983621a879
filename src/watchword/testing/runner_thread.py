"""A thread with an event loop of its own, for tests with an event loop and without.

The caller waits for the result. So the test does nothing while the thread works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class RunnerThread:
    """Runs coroutines one after the other in that thread. Must be closed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "watchword-testing")
        self._runner = asyncio.Runner()  # makes its loop in the thread that uses it

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine and return its result. Raises what it raises."""
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        """End the loop and the thread."""
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
