"""What the engine counts by."""

from __future__ import annotations

from typing import Final, Protocol

from watchword.metrics.catalog import Counter, Histogram


class Metrics(Protocol):
    """Counts events and observes values. Neither verb awaits, blocks or raises."""

    def count(self, metric: Counter, *labels: str, n: int = 1) -> None:
        """Add `n`. `labels` are the values of the metric's labels, in their order.

        They MUST be of a bounded set: never a name, an address or an id of a person.
        """

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        """Note a value in the unit of the metric: seconds, or a number of things."""


class _NoMetrics:
    def count(self, metric: Counter, *labels: str, n: int = 1) -> None: ...

    def observe(self, metric: Histogram, value: float, *labels: str) -> None: ...


NO_METRICS: Final[Metrics] = _NoMetrics()
"""Forgets all that it is told."""
