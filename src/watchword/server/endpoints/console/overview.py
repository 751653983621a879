"""GET /console: how the server does, in figures and charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import ADMIN_LIST, MINUTE
from watchword.ports.audit import EventFilter
from watchword.server.admin_auth import admin_of
from watchword.server.console.drawing import SPANS
from watchword.server.console.events import NOTABLE, Line, collapsed
from watchword.server.console.overview import USUAL, overview_of
from watchword.server.console_response import screen_of
from watchword.server.endpoints.console.naming import event_lines
from watchword.server.endpoints.console.visitor import Admin, for_admin
from watchword.server.operation import screen_operations
from watchword.server.parsing import engine_of

_NOTABLE_MAX: Final = 5
_LATE: Final = 5 * MINUTE
"""How long a delivery of a webhook may wait before the overview says so."""


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    span = request.query_params.get("range", USUAL)
    span = span if span in SPANS else USUAL
    figures = await admin_of(request).overview.figures(span)
    view = overview_of(
        figures,
        span,
        notable=await _notable(request),
        failing=await _failing(request),
    )
    return screen_of(request, admin, view)


async def _notable(request: Request) -> Sequence[Line]:
    """The latest events that are worth a look."""
    wanted = EventFilter(types=NOTABLE)
    page = await admin_of(request).events.list(wanted, limit=ADMIN_LIST)
    return collapsed(await event_lines(request, page.items))[:_NOTABLE_MAX]


async def _failing(request: Request) -> int:
    """Webhooks that have had something to deliver for too long."""
    before = engine_of(request).clock() - _LATE
    webhooks = await admin_of(request).webhooks.list()
    return sum(one.oldest is not None and one.oldest < before for one in webhooks)


ENDPOINTS: Final = screen_operations("overview", show, None, "/console")
