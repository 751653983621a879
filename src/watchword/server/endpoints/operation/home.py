"""GET /: a page that says what this server is, with links. It has no script."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.operation import Operation
from watchword.server.pages.rendering import HTML
from watchword.server.static_files import static_file

_POLICY: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}


async def home(request: Request) -> Response:
    return static_file(request, "home.html", HTML, _POLICY)


OPERATION = Operation(
    method="GET",
    path="/",
    handler=home,
    is_embedded=False,
    is_documented=False,
)
