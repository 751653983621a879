"""GET /openapi.json: what all endpoints take, answer and refuse."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.operation import Operation
from watchword.server.responses import cached


async def openapi(request: Request) -> Response:
    """The document that the application made when it started."""
    return cached(
        request,
        request.scope["state"]["openapi"],
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
