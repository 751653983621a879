"""GET /api/admin/stats and /overview: figures of each minute, and what they come to."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.admin.overview import Series
from watchword.server.admin_auth import admin_of, reader, shows
from watchword.server.parsing import query_of
from watchword.server.responses import JSON, utc

Range = Literal["1h", "24h", "8d"]
_QUERY: Final = {"range": Range}
_USUAL: Final = "24h"


class SeriesItem(msgspec.Struct, frozen=True, rename="camel"):
    """The figures of one series, a number for each step.

    `labels` is what was counted of it, such as a result. Those of a `level` are the
    greatest of each step; others were counted in the step.
    """

    name: str
    labels: str
    level: bool
    values: tuple[int, ...]


class Stats(msgspec.Struct, frozen=True):
    """Figures since an instant (UTC), in steps of so many seconds."""

    since: datetime
    step: int
    series: list[SeriesItem]


class Total(msgspec.Struct, frozen=True):
    """What a series comes to in that time: its sum, or of a level the latest figure."""

    name: str
    labels: str
    level: bool
    total: int


class OverviewAnswer(msgspec.Struct, frozen=True):
    """What the figures come to since an instant (UTC)."""

    since: datetime
    totals: list[Total]


async def stats(request: Request) -> Response:
    await reader(request)
    found = await admin_of(request).overview.figures(_range(request))
    series = [
        SeriesItem(one.name, one.labels, one.is_level, tuple(one.values))
        for one in found.series
    ]
    return JSON(Stats(utc(found.since), found.step // 1000, series))


STATS = shows(
    "/stats",
    stats,
    summary="Figures for charts",
    description=(
        f"Of the last hour, day or 8 days; {_USUAL} where `range` is left out. They "
        "are written once a minute."
    ),
    query=_QUERY,
    response=Stats,
)


async def overview(request: Request) -> Response:
    await reader(request)
    found = await admin_of(request).overview.figures(_range(request))
    return JSON(OverviewAnswer(utc(found.since), list(map(_total, found.series))))


OVERVIEW = shows(
    "/overview",
    overview,
    summary="What the figures come to",
    description=(
        f"Of the last hour, day or 8 days; {_USUAL} where `range` is left out."
    ),
    query=_QUERY,
    response=OverviewAnswer,
)


def _range(request: Request) -> str:
    return query_of(request).get("range", _USUAL)


def _total(one: Series) -> Total:
    total = one.latest if one.is_level else one.total
    return Total(one.name, one.labels, one.is_level, total)
