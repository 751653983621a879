"""GET /console: how the server does, in figures and charts."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.console.overview import Overview
from watchword.server.console_response import screen_of
from watchword.server.endpoints.console.visitor import Admin, for_admin
from watchword.server.operation import screen_operations


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    return screen_of(request, admin, Overview())


ENDPOINTS: Final = screen_operations("overview", show, None, "/console")
