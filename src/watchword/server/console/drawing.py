"""Figures of a time, in the shape that charts and tiles want."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from watchword.admin.overview import Figures
from watchword.core.limits import DAY, HOUR, MINUTE
from watchword.metrics.charts import Figure
from watchword.server.console.charts import GRAVE, Axis, Row, Words, quantile
from watchword.server.console.times import clock_time, number, short_day

SPANS: Final = {"1h": "1 hour", "24h": "24 hours", "8d": "8 days"}
"""The ranges of time, and how the screen calls them."""

_MEDIAN: Final = 0.5
_MOST: Final = 0.99

VERDICTS: Final = (
    ("Rotated", ("rotated", "rewound"), 1),
    ("Retried", ("retry", "same", "restored"), 2),
    ("Refused", ("invalid", "expired", "revoked", "refused", "unavailable"), 6),
    ("Reused: session ended", ("reused",), GRAVE),
)
RESULTS: Final = (
    ("Succeeded", ("success",), 1),
    ("Wrong password or code", ("failed",), 3),
    ("Throttled", ("throttled",), 6),
)


class Drawing:
    """The figures of a span, in the shape that charts want."""

    def __init__(self, figures: Figures, span: str) -> None:
        self._figures = figures
        self.last = f"last {SPANS[span]}"
        self.steps = max((len(one.values) for one in figures.series), default=0)
        starts = [figures.since + k * figures.step for k in range(self.steps)]
        ends = [figures.since + self.steps * k * figures.step // 4 for k in range(5)]
        is_long = figures.step * self.steps > DAY
        label: Callable[[int], str] = (
            (lambda at: f"{short_day(at)}, {clock_time(at)}") if is_long else clock_time
        )
        self.axis = Axis(
            [label(at) for at in starts],
            [short_day(at) if is_long else clock_time(at) for at in ends],
        )
        self.each = _each(figures.step)

    def counts(self, figure: Figure, labels: Collection[str] = ("",)) -> list[int]:
        """What was counted in each step, of these labels together."""
        found = self._figures.of(figure)
        wanted = [found[label].values for label in labels if label in found]
        return [sum(values[k] for values in wanted) for k in range(self.steps)]

    def labels(self, figure: Figure) -> list[str]:
        """The labels that there are, the most frequent first."""
        series = self._figures.of(figure)
        return sorted(series, key=lambda label: (-series[label].total, label))

    def level(self, figure: Figure) -> list[float | None]:
        """A level at each step; None where none was written."""
        return [one or None for one in self.counts(figure)]

    def spread(
        self, figure: Figure, buckets: Sequence[str], bounds: Sequence[float]
    ) -> tuple[list[float | None], list[float | None], float]:
        """Median and 99 of 100 of each step, and the latter of all; in seconds."""
        columns = [self.counts(figure, (label,)) for label in buckets]
        found: list[list[float | None]] = []
        for part in (_MEDIAN, _MOST):
            row: list[float | None] = []
            for k in range(self.steps):
                counts = [column[k] for column in columns]
                is_there = any(counts)
                row.append(quantile(counts, bounds, part) if is_there else None)
            found.append(row)
        return found[0], found[1], quantile([sum(c) for c in columns], bounds, _MOST)

    def rows(
        self, figure: Figure, kinds: Sequence[tuple[str, Collection[str], int]]
    ) -> list[Row]:
        """A row for each kind, by its labels."""
        return [
            Row(name, self.counts(figure, labels), colour)
            for name, labels, colour in kinds
        ]

    def words(
        self, id_: str, title: str, sums: Sequence[Row], *, nothing: str
    ) -> Words:
        """The words of a chart of counts."""
        told = ", ".join(f"{row.name} {number(row.total)}" for row in sums)
        return Words(
            id=id_,
            title=title,
            note=self.each,
            sentence=f"{title}, {self.last}. {told}.",
            nothing=f"{nothing} in the {self.last}.",
        )

    def share(self) -> list[float | None]:
        """The part of the accounts that have a second factor, in per cent."""
        return [
            100 * (with_factor or 0) / accounts if accounts else None
            for accounts, with_factor in zip(
                self.level(Figure.ACCOUNTS), self.level(Figure.WITH_FACTOR), strict=True
            )
        ]


def _each(step: int) -> str:
    """How often there is a bar."""
    if step <= MINUTE:
        return "a minute"
    if step < HOUR:
        return f"per {step // MINUTE} minutes"
    return "an hour" if step == HOUR else f"per {step // HOUR} hours"
