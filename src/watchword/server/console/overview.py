"""The overview: figures and charts of an hour, a day or eight days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from watchword.admin.overview import Figures
from watchword.metrics.charts import REACH_BOUNDS, REACH_BUCKETS, Figure
from watchword.server.console.charts import GRAVE, Chart, Row, Spark, said, spark
from watchword.server.console.drawing import RESULTS, SPANS, VERDICTS, Drawing
from watchword.server.console.events import Line
from watchword.server.console.overview_charts import charts_of
from watchword.server.console.screens import Screen
from watchword.server.console.times import number

USUAL: Final = "24h"


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `screen` and `query` are where its hint leads, if anywhere."""

    title: str
    value: str
    hint: str
    spark: Spark | None = None
    screen: str = ""
    query: dict[str, str] = {}


class Overview(Screen, frozen=True, kw_only=True):
    """How the server does. `failing` are webhooks with deliveries that wait long."""

    template = "overview.html"
    here = "overview"

    title: str = "Overview"
    span: str
    tiles: Sequence[Tile]
    charts: Sequence[Chart]
    notable: Sequence[Line]
    failing: int = 0

    @property
    def spans(self) -> Mapping[str, str]:
        """The ranges that there are, with their names."""
        return SPANS


def overview_of(
    figures: Figures, span: str, *, notable: Sequence[Line], failing: int
) -> Overview:
    """The screen for these figures."""
    drawing = Drawing(figures, span)
    return Overview(
        span=span,
        tiles=_tiles(drawing),
        charts=charts_of(drawing),
        notable=notable,
        failing=failing,
    )


def _tiles(drawing: Drawing) -> list[Tile]:
    live = drawing.level(Figure.SESSIONS_LIVE)
    known = [one for one in live if one is not None]
    results = drawing.rows(Figure.SIGN_INS, RESULTS)
    tries = sum(row.total for row in results)
    verdicts = drawing.rows(Figure.REFRESHES, VERDICTS)
    rotated, retried = verdicts[0], verdicts[1].total
    reuse = Row("Reuse", drawing.counts(Figure.REUSE), GRAVE)
    _, most, reach = drawing.spread(
        Figure.REVOCATION_REACH, REACH_BUCKETS, REACH_BOUNDS
    )
    accounts = Row("Accounts", drawing.level(Figure.ACCOUNTS)).latest or 0
    with_factor = Row("", drawing.level(Figure.WITH_FACTOR)).latest or 0
    return [
        Tile(
            title="Live sessions",
            value=said(known[-1] if known else None),
            hint=_between(known),
            spark=spark(Row("", live)),
        ),
        Tile(
            title="Sign-ins",
            value=number(results[0].total),
            hint=f"{100 * results[0].total / tries:.1f} % of {_tries(tries)}"
            if tries
            else "No try",
            spark=spark(results[0]),
        ),
        Tile(
            title="Refreshes",
            value=number(rotated.total),
            hint=f"1 in {number(round(rotated.total / retried))} was a retry"
            if retried
            else "No retry",
            spark=spark(rotated),
        ),
        Tile(
            title="Reuse of tokens",
            value=number(reuse.total),
            hint=_ended(reuse.total),
            spark=spark(reuse),
            screen="events" if reuse.total else "",
            query={"type": "session.reused"},
        ),
        Tile(
            title="Reach of a sign-out",
            value=said(round(reach, 2), "s") if reach else "\u2013",
            hint="99 of 100 below; aim: 1 s",
            spark=spark(Row("", most)),
        ),
        Tile(
            title="With a second step",
            value=f"{100 * with_factor / accounts:.0f} %" if accounts else "\u2013",
            hint=f"{number(with_factor)} of {number(accounts)} accounts",
            spark=spark(Row("", drawing.share())),
        ),
    ]


def _between(known: Sequence[float]) -> str:
    if not known:
        return ""
    least, most = number(min(known)), number(max(known))
    return "all the time" if least == most else f"{least} to {most}"


def _tries(count: float) -> str:
    return "one try" if count == 1 else f"{number(count)} tries"


def _ended(reused: float) -> str:
    if not reused:
        return "No session ended by it"
    return "One session ended" if reused == 1 else f"{number(reused)} sessions ended"
