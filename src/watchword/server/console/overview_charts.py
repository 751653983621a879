"""The charts of the overview."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from watchword.core.limits import SECOND
from watchword.metrics.charts import (
    LATENCY_BOUNDS,
    LATENCY_BUCKETS,
    REACH_BOUNDS,
    REACH_BUCKETS,
    Figure,
)
from watchword.server.console.charts import (
    GRAVE,
    Axis,
    Chart,
    Row,
    Words,
    bars,
    lines,
    said,
)
from watchword.server.console.drawing import RESULTS, VERDICTS, Drawing
from watchword.server.console.times import number

_KINDS_MAX: Final = 3


def charts_of(drawing: Drawing) -> Sequence[Chart]:
    """All of them, in the order of the screen."""
    return (
        _sign_ins(drawing),
        _live(drawing),
        _refreshes(drawing),
        _reuse(drawing),
        _latency(drawing),
        _latencies(drawing),
        _reach(drawing),
        _queue(drawing),
        _throttled(drawing),
        _new_accounts(drawing),
        _factors(drawing),
    )


def _sign_ins(drawing: Drawing) -> Chart:
    rows = drawing.rows(Figure.SIGN_INS, RESULTS)
    words = drawing.words(
        "c-sign-ins", "Sign-ins by result", rows, nothing="No sign-in"
    )
    return bars(words, drawing.axis, *rows)


def _live(drawing: Drawing) -> Chart:
    row = Row("Live sessions", drawing.level(Figure.SESSIONS_LIVE))
    known = [one for one in row.values if one is not None]
    span = f"from {number(min(known))} to {number(max(known))}" if known else ""
    words = Words(
        id="c-live",
        title="Live sessions",
        note=f"now {said(row.latest)}",
        sentence=f"Live sessions, {drawing.last}: {span}.",
        nothing="No session was counted yet.",
    )
    return lines(words, drawing.axis, row, is_area=True)


def _refreshes(drawing: Drawing) -> Chart:
    rows = drawing.rows(Figure.REFRESHES, VERDICTS)
    words = drawing.words(
        "c-refreshes", "Refreshes by verdict", rows, nothing="No refresh"
    )
    return bars(words, drawing.axis, *rows)


def _reuse(drawing: Drawing) -> Chart:
    rows = [
        Row(
            "Rewound after a lost write",
            drawing.counts(Figure.REFRESHES, ("rewound",)),
            5,
        ),
        Row("Reused: session ended", drawing.counts(Figure.REUSE), GRAVE),
    ]
    words = drawing.words(
        "c-reuse",
        "Reuse and rewinds",
        rows,
        nothing="No token was reused, and none rewound,",
    )
    return bars(words, drawing.axis, *rows)


def _latency(drawing: Drawing) -> Chart:
    median, most, _ = drawing.spread(
        Figure.REFRESH_LATENCY, LATENCY_BUCKETS, LATENCY_BOUNDS
    )
    scaled = [[one and one * SECOND for one in values] for values in (median, most)]
    nothing = f"No refresh in the {drawing.last}."
    words = _of_time("c-latency", "Time of a refresh", "ms", nothing)
    return _times(drawing, words, *scaled)


def _reach(drawing: Drawing) -> Chart:
    median, most, _ = drawing.spread(
        Figure.REVOCATION_REACH, REACH_BUCKETS, REACH_BOUNDS
    )
    nothing = f"No session was ended in the {drawing.last}."
    words = _of_time("c-reach", "Reach of a sign-out", "s", nothing)
    return _times(drawing, words, median, most)


def _of_time(id_: str, title: str, unit: str, nothing: str) -> Words:
    note = "milliseconds" if unit == "ms" else "seconds"
    return Words(
        id=id_,
        title=title,
        note=note,
        sentence="",
        nothing=nothing,
        unit=unit,
        is_whole=False,
    )


def _times(
    drawing: Drawing,
    words: Words,
    median: Sequence[float | None],
    most: Sequence[float | None],
) -> Chart:
    """Median and 99 of 100 as lines."""
    rows = (
        Row("Median", median),
        Row("99 of 100 below", most, 3, is_dashed=True),
    )
    told = ", ".join(f"{row.name} {said(row.latest, words.unit)}" for row in rows)
    sentence = f"{words.title}, {drawing.last}. Latest: {told}."
    words = msgspec.structs.replace(words, sentence=sentence)
    return lines(words, drawing.axis, *rows)


def _latencies(drawing: Drawing) -> Chart:
    """How many refreshes took how long: one bar a bucket."""
    totals = [
        sum(drawing.counts(Figure.REFRESH_LATENCY, (label,)))
        for label in LATENCY_BUCKETS
    ]
    row = Row("Refreshes", totals)
    ends = [_span(end) for end in LATENCY_BOUNDS]
    labels = [*(f"up to {end}" for end in ends), f"over {ends[-1]}"]
    words = Words(
        id="c-latencies",
        title="Refreshes by time taken",
        note=drawing.last,
        sentence=f"Refreshes by the time that they took, {drawing.last}: "
        f"{number(row.total)} in {len(labels)} bars.",
        nothing=f"No refresh in the {drawing.last}.",
    )
    shown = [f"\u2264 {end}" for end in ends[::3]]
    axis = Axis(labels, [*shown, f"> {ends[-1]}"], "Time taken")
    return bars(words, axis, row)


def _span(seconds: float) -> str:
    return f"{number(seconds)} s" if seconds >= 1 else f"{number(seconds * SECOND)} ms"


def _queue(drawing: Drawing) -> Chart:
    row = Row("Passwords that wait", drawing.counts(Figure.HASH_QUEUE))
    words = Words(
        id="c-queue",
        title="Queue of passwords",
        note="the most at once",
        sentence=f"Passwords that waited to be checked, {drawing.last}: "
        f"{number(max((one or 0 for one in row.values), default=0))} at most.",
        nothing="No password was counted yet.",
    )
    return lines(words, drawing.axis, row, is_area=True)


def _throttled(drawing: Drawing) -> Chart:
    kinds = drawing.labels(Figure.THROTTLED)
    rows = [
        Row(
            kind.replace("_", " ").capitalize(),
            drawing.counts(Figure.THROTTLED, (kind,)),
            colour,
        )
        for kind, colour in zip(kinds[:_KINDS_MAX], (6, 5, 3), strict=False)
    ]
    if kinds[_KINDS_MAX:]:
        rest = drawing.counts(Figure.THROTTLED, kinds[_KINDS_MAX:])
        rows.append(Row("Others", rest, 2))
    words = drawing.words(
        "c-throttled", "Throttled by kind", rows, nothing="Nothing was throttled"
    )
    return bars(words, drawing.axis, *rows)


def _new_accounts(drawing: Drawing) -> Chart:
    row = Row("New accounts", drawing.counts(Figure.NEW_ACCOUNTS))
    words = drawing.words("c-new", "New accounts", [row], nothing="No new account")
    return bars(words, drawing.axis, row)


def _factors(drawing: Drawing) -> Chart:
    row = Row("With a second step", drawing.share())
    words = Words(
        id="c-factors",
        title="Accounts with a second step",
        note="per cent",
        sentence=f"Accounts with a second step, {drawing.last}: "
        f"now {said(row.latest)} per cent.",
        nothing="No account was counted yet.",
        unit="%",
        is_whole=False,
    )
    return lines(words, drawing.axis, row, is_area=True)
