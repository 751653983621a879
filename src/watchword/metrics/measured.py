"""What measures a process that has a page of metrics."""

from __future__ import annotations

from typing import NamedTuple

from watchword.metrics.figures import Figures
from watchword.metrics.levels import Levels


class Measured(NamedTuple):
    """`levels` is for scrapes, `figures` for the charts of the console."""

    levels: Levels
    figures: Figures

    async def close(self) -> None:
        """Write what has not been written yet."""
        await self.figures.close()
