"""Figures for the overview and its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from watchword.clocks import Clock
from watchword.ports.stats import StatsStore


class Series(msgspec.Struct, frozen=True):
    """Figures of one series, a number for each step; 0 where there is none."""

    name: str
    labels: str
    values: Sequence[int]

    @property
    def total(self) -> int:
        """The sum of all steps."""
        return sum(self.values)


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
        """The figures of `1h`, `24h` or `8d` until now. Raises InvalidRequest."""
        raise NotImplementedError
