"""GET /openapi.json: what all endpoints take, answer and refuse."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.admin_listener import is_at_admin_listener
from watchword.server.operation import Operation
from watchword.server.responses import cached


async def openapi(request: Request) -> Response:
    """The document of this listener, which was made when the application started."""
    name = "admin_openapi" if is_at_admin_listener(request) else "openapi"
    return cached(
        request,
        request.scope["state"][name],
        "application/json",
        {"cache-control": "no-cache"},
    )


OPERATION = Operation(
    method="GET",
    path="/openapi.json",
    handler=openapi,
    is_embedded=False,
    is_documented=False,
)
