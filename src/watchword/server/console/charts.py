"""Charts: from figures to shapes, and to the words around them.

Shapes are for an SVG that is stretched to its box, HEIGHT high: strokes keep their
width by the stylesheet. Words stand beside it in HTML and keep their size. `m.chart`
and `m.spark` of the templates write both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import msgspec

from watchword.server.console.times import number

HEIGHT: Final = 100
_STEPS: Final = 4
_RULES: Final = (1, 1.2, 1.6, 2, 4, 6, 8, 10)
"""The tops of axes, times a power of ten: so the rules are at round numbers."""
_HEADROOM: Final = 1.02
_BETWEEN: Final = 100  # from point to point of a line
_SLOT: Final = 10  # of a bar, with the ground beside it
_BAR: Final = 7
_LEAST: Final = 1.5
"""A slice of less height cannot be seen: what is grave is a dot above the bar then."""
_NARROW_SPACE: Final = "\u202f"
_NONE: Final = "\u2013"

GRAVE: Final = 4
"""The colour of what is grave. `k1` to `k6` of the stylesheet are the colours."""


class Row(msgspec.Struct, frozen=True):
    """One series: its name, a value for each step (None for none), its colour."""

    name: str
    values: Sequence[float | None]
    colour: int = 1
    is_dashed: bool = False

    @property
    def total(self) -> float:
        """The sum."""
        return sum(one or 0 for one in self.values)

    @property
    def latest(self) -> float | None:
        """The last value that there is."""
        return next((one for one in reversed(self.values) if one is not None), None)


class Axis(msgspec.Struct, frozen=True):
    """The steps: a label for each, and the few that are written below the chart."""

    labels: Sequence[str]
    shown: Sequence[str]
    head: str = "Time (UTC)"


class Shape(msgspec.Struct, frozen=True):
    """A path or, with a width, a bar. `title` is what a pointer finds there."""

    cls: str
    d: str = ""
    x: float = 0
    y: float = 0
    width: float = 0
    height: float = 0
    title: str = ""


class Key(msgspec.Struct, frozen=True):
    """An entry of the legend."""

    name: str
    value: str
    colour: int
    kind: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart. `sentence` says what it shows; without shapes it says why there is none.

    `ys` are the numbers at the rules, from the top. `head` and `rows` are the table.
    """

    id: str
    title: str
    note: str
    sentence: str
    width: int = 0
    shapes: Sequence[Shape] = ()
    legend: Sequence[Key] = ()
    ys: Sequence[str] = ()
    xs: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


class Spark(msgspec.Struct, frozen=True):
    """A line without axes, beside a figure."""

    width: int
    shapes: Sequence[Shape]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a chart: `note` at its right, `nothing` where there is nothing.

    `unit` follows each value. `is_whole`: there are no halves of it.
    """

    id: str
    title: str
    note: str
    sentence: str
    nothing: str
    unit: str = ""
    is_whole: bool = True


def lines(words: Words, axis: Axis, *rows: Row, is_area: bool = False) -> Chart:
    """A line for each row, broken where there is no value."""
    known = [one for row in rows for one in row.values if one is not None]
    if not known:
        return _nothing(words)
    top = nice(max(known) * _HEADROOM, is_whole=words.is_whole)
    shapes = [shape for row in rows for shape in _line(row, top, is_area=is_area)]
    legend = [
        Key(row.name, said(row.latest, words.unit), row.colour, _kind_of(row))
        for row in rows
        if len(rows) > 1
    ]
    width = _BETWEEN * max(1, len(axis.labels) - 1)
    return _chart(words, axis, rows, top=top, shapes=shapes, legend=legend, width=width)


def bars(words: Words, axis: Axis, *rows: Row) -> Chart:
    """A bar for each step: the rows on top of each other, the first one below."""
    if not any(row.total for row in rows):
        return _nothing(words)
    steps = range(len(axis.labels))
    top = nice(
        max(sum(row.values[k] or 0 for row in rows) for k in steps) * _HEADROOM,
        is_whole=True,
    )
    shapes = [shape for k in steps for shape in _bar(k, axis.labels[k], rows, top)]
    legend = [
        Key(
            row.name,
            number(row.total),
            row.colour,
            "dot" if row.colour == GRAVE else "bar",
        )
        for row in rows
        if len(rows) > 1
    ]
    width = _SLOT * len(steps)
    return _chart(words, axis, rows, top=top, shapes=shapes, legend=legend, width=width)


def spark(row: Row) -> Spark | None:
    """The row as a line from its least to its greatest value; None without values."""
    known = [one for one in row.values if one is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    span = (high - low) or 1
    # A line that never changes lies on the ground.
    flat = [None if one is None else 8 + 84 * (one - low) / span for one in row.values]
    even = Row(row.name, flat, row.colour)
    width = _BETWEEN * max(1, len(row.values) - 1)
    return Spark(width, list(_line(even, HEIGHT, is_area=False)))


def nice(top: float, *, is_whole: bool) -> float:
    """The end of an axis that holds `top`: four steps of it are round numbers."""
    if top <= 0:
        return _STEPS
    power = 10.0 ** math.floor(math.log10(top))
    for scale in (power, 10 * power):
        for rule in _RULES:
            end = round(rule * scale, 12)
            if end >= top and not (is_whole and end % _STEPS):
                return end
    return 10 * _STEPS * power


def said(value: float | None, unit: str = "") -> str:
    """The value with its unit; a dash for none."""
    if value is None:
        return _NONE
    return number(value) + (_NARROW_SPACE + unit if unit else "")


def quantile(counts: Sequence[int], bounds: Sequence[float], part: float) -> float:
    """The value that so large a part of what was counted is below, by its buckets.

    `bounds` are the upper ends of the buckets, but for the last one, which has none:
    what is in that is taken to be at its beginning. Within a bucket all is spread
    evenly. 0 where nothing was counted.
    """
    rank, seen, begin = part * sum(counts), 0.0, 0.0
    for count, end in zip(counts, bounds, strict=False):
        if count and seen + count >= rank:
            return begin + (end - begin) * max(0.0, rank - seen) / count
        seen, begin = seen + count, end
    return begin if any(counts) else 0.0


def _nothing(words: Words) -> Chart:
    return Chart(
        id=words.id, title=words.title, note=words.note, sentence=words.nothing
    )


def _chart(
    words: Words,
    axis: Axis,
    rows: Sequence[Row],
    *,
    top: float,
    shapes: Sequence[Shape],
    legend: Sequence[Key],
    width: int,
) -> Chart:
    unit = f" ({words.unit})" if words.unit else ""
    return Chart(
        id=words.id,
        title=words.title,
        note=words.note,
        sentence=words.sentence,
        width=width,
        shapes=shapes,
        legend=legend,
        ys=[number(top * k / _STEPS) for k in range(_STEPS, -1, -1)],
        xs=axis.shown,
        head=(axis.head, *(f"{row.name}{unit}" for row in rows)),
        rows=[
            (label, *(said(row.values[k]) for row in rows))
            for k, label in enumerate(axis.labels)
        ],
    )


def _kind_of(row: Row) -> str:
    return "dash" if row.is_dashed else "line"


def _line(row: Row, top: float, *, is_area: bool) -> list[Shape]:
    """The line, a piece for each stretch of values, and a dot at its end."""
    found: list[Shape] = []
    colour, dash = f"k{row.colour}", " dash" if row.is_dashed else ""
    points = [
        (_BETWEEN * k, None if one is None else round(HEIGHT - HEIGHT * one / top, 1))
        for k, one in enumerate(row.values)
    ]
    last = None
    for is_gap, piece in groupby(points, lambda point: point[1] is None):
        if is_gap:
            continue
        stretch = list(piece)
        last = stretch[-1]
        d = "M" + " ".join(f"{x} {y}" for x, y in stretch)
        if is_area:
            closed = f"{d} {last[0]} {HEIGHT} {stretch[0][0]} {HEIGHT}z"
            found.append(Shape("area", closed))
        found.append(Shape(f"l {colour}{dash}", d if len(stretch) > 1 else f"{d}h0"))
    if last is not None:
        found.append(Shape(f"dot {colour}", f"M{last[0]} {last[1]}h0"))
    return found


def _bar(k: int, label: str, rows: Sequence[Row], top: float) -> list[Shape]:
    found: list[Shape] = []
    y = float(HEIGHT)
    for row in rows:
        value = row.values[k] or 0
        height = HEIGHT * value / top
        if not value:
            continue
        title = f"{label}: {row.name} {number(value)}"
        if height < _LEAST and row.colour == GRAVE:
            middle = _SLOT * k + _SLOT / 2
            d = f"M{middle:g} {y - 6:.1f}h0"
            found.append(Shape(f"dot k{GRAVE}", d, title=title))
            continue
        y -= height
        found.append(
            Shape(
                f"f k{row.colour}",
                x=_SLOT * k + (_SLOT - _BAR) / 2,
                y=round(y, 1),
                width=_BAR,
                height=round(height, 1),
                title=title,
            )
        )
    return found
