"""GET /api/admin/health: how each part does, and the settings in effect."""

from __future__ import annotations

from datetime import datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import __version__
from watchword.admin.health import Part, PartState
from watchword.config.effective import EffectiveSetting
from watchword.core.limits import SECOND
from watchword.server.admin_auth import admin_of, reader, shows
from watchword.server.responses import JSON, utc


class PartView(msgspec.Struct, frozen=True, rename="camel"):
    """A part, how it does, and what was seen of it, in English.

    `slowestMs` is the longest of its last hundred turns; null where none was measured.
    """

    name: str
    state: PartState
    seen: str
    slowest_ms: float | None


class HealthView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The process that answers, one of `workers`, up since `startedAt` (UTC)."""

    version: str
    workers: int
    started_at: datetime
    parts: list[PartView]
    settings: list[EffectiveSetting]


async def show(request: Request) -> Response:
    await reader(request)
    report = await admin_of(request).health.report()
    content = HealthView(
        version=__version__,
        workers=report.workers,
        started_at=utc(report.since),
        parts=list(map(_view, report.parts)),
        settings=list(report.settings),
    )
    return JSON(content)


SHOW = shows(
    "/health",
    show,
    summary="Health, and the settings in effect",
    description=(
        "It answers whatever part is away. Settings were read at the start; no secret "
        "is shown, nor the password in a URL."
    ),
    response=HealthView,
)


def _view(part: Part) -> PartView:
    slowest = None if part.slowest is None else round(part.slowest * SECOND, 2)
    return PartView(part.name, part.state, part.seen, slowest)
