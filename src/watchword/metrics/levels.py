"""What goes up and down in one process: queues, ages, and what the system says of it.

It is written into the page of the process at intervals, so that another process can
show it; and by the process that is asked, before it answers.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from watchword.clocks import Clock
from watchword.core import limits
from watchword.metrics.catalog import Counter, Gauge
from watchword.metrics.pages import Page

Level = tuple[Gauge, float, tuple[str, ...]]
"""A gauge, its value, its labels."""
Source = Callable[[], Iterable[Level]]

_OF_SYSTEM: Final = Path("/proc/self")


class Levels:
    """The gauges of one process. `sources` say what they are now."""

    def __init__(self, page: Page, sources: Sequence[Source], clock: Clock) -> None:
        self._page = page
        self._sources = sources
        self._cpu = 0.0
        page.set(Gauge.PROCESS_START, clock() / limits.SECOND)
        page.set(Gauge.BUILD_INFO, 1, version("watchword"), platform.python_version())

    async def write(self) -> None:
        """Write what the engine says of itself."""
        for source in self._sources:
            for metric, value, labels in source():
                self._page.set(metric, value, *labels)

    async def write_process(self) -> None:
        """Write what the system says of this process."""
        used = time.process_time()
        self._page.count(Counter.PROCESS_CPU, n=used - self._cpu)
        self._cpu = used
        # Only Linux says the rest.
        with suppress(ImportError, OSError, ValueError):
            import resource  # noqa: PLC0415 - there is none on Windows

            most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            self._page.set(Gauge.PROCESS_FILES_MAX, most)
            pages = (_OF_SYSTEM / "statm").read_text().split()
            size = resource.getpagesize()
            self._page.set(Gauge.PROCESS_VIRTUAL, int(pages[0]) * size)
            self._page.set(Gauge.PROCESS_MEMORY, int(pages[1]) * size)
            files = sum(1 for _ in (_OF_SYSTEM / "fd").iterdir())
            self._page.set(Gauge.PROCESS_FILES, files)
