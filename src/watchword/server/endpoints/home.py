"""`GET /`: a page that says what this server is, with links. It has no script."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.endpoints.docs import HTML, packaged

POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


async def home(request: Request) -> Response:
    """`GET /`: the page."""
    response = packaged(request, "home.html", HTML)
    response.headers["content-security-policy"] = POLICY
    return response
