"""Figures for the overview and its charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from watchword.clocks import Clock
from watchword.core import limits
from watchword.errors import InvalidRequest
from watchword.metrics.charts import LEVELS
from watchword.ports.stats import StatsStore

SPANS: Final = {
    "1h": (limits.HOUR, limits.MINUTE),
    "24h": (limits.DAY, limits.HOUR),
    "8d": (8 * limits.DAY, 4 * limits.HOUR),
}
"""Each time that can be looked at, and the step of its figures (ms)."""


class Series(msgspec.Struct, frozen=True):
    """Figures of one series, a number for each step; 0 where there is none.

    Those of a level are the greatest of each step, and are not to be summed.
    """

    name: str
    labels: str
    values: Sequence[int]
    is_level: bool = False

    @property
    def total(self) -> int:
        """The sum of all steps."""
        return sum(self.values)

    @property
    def latest(self) -> int:
        """The figure of the last step."""
        return self.values[-1]


class Figures(msgspec.Struct, frozen=True):
    """All series of a time. `since` and `step` are in milliseconds."""

    since: int
    step: int
    series: Sequence[Series]

    def of(self, name: str) -> Mapping[str, Series]:
        """The series of that name, by labels."""
        return {one.labels: one for one in self.series if one.name == name}


class Overview:
    """Reads the figures that every process writes once a minute."""

    def __init__(self, *, stats: StatsStore, clock: Clock) -> None:
        self._stats = stats
        self._clock = clock

    async def figures(self, span: str) -> Figures:
        """The figures of `1h`, `24h` or `8d` until now. Raises InvalidRequest.

        The last step is the one that goes on, but for steps of a minute: within the one
        that goes on, some processes have written and others have not.
        """
        if span not in SPANS:
            message = f"range is one of: {', '.join(SPANS)}."
            raise InvalidRequest(message)
        length, step = SPANS[span]
        whole = self._clock() // limits.MINUTE * limits.MINUTE
        until = -(-whole // step) * step
        since = until - length
        found: dict[tuple[str, str], list[int]] = defaultdict(
            lambda: [0] * (length // step)
        )
        if step == limits.MINUTE:
            for row in await self._stats.read(since, until):
                found[row.name, row.labels][(row.minute - since) // step] = row.n
        else:
            # Step by step: no other list has to wait for all rows of eight days.
            for place, begin in enumerate(range(since, until, step)):
                for one in await self._stats.sums(begin, begin + step):
                    figure = one.most if one.name in LEVELS else one.total
                    found[one.name, one.labels][place] = figure
        series = [
            Series(name, labels, _without_gap(values, name), name in LEVELS)
            for (name, labels), values in sorted(found.items())
        ]
        return Figures(since, step, series)


def _without_gap(values: list[int], name: str) -> list[int]:
    """The figures; a level that was not counted in the last step yet stays."""
    if name in LEVELS and not values[-1]:
        values[-1] = values[-2]
    return values
