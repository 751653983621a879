"""GET /console/health: how each part does, and the settings in effect."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword import __version__
from watchword.server.admin_auth import admin_of
from watchword.server.console.health import health_of
from watchword.server.console_response import screen_of
from watchword.server.endpoints.console.visitor import Admin, for_admin
from watchword.server.operation import screen_operations


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    report = await admin_of(request).health.report()
    return screen_of(request, admin, health_of(report, __version__))


ENDPOINTS: Final = screen_operations("health", show)
