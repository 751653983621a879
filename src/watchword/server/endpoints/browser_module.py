"""GET /watchword.js and /watchword.d.ts: the module for pages, as npm has it.

Pages of any origin may read it. A page of another origin can import a module only with
CORS. The module is public, and `WATCHWORD_CORS_ORIGINS` decides whether its calls are
answered.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.endpoints.docs import SCRIPT, TEXT, packaged


async def script(request: Request) -> Response:
    """`GET /watchword.js`."""
    return _public(packaged(request, "npm/watchword.js", SCRIPT))


async def types(request: Request) -> Response:
    """`GET /watchword.d.ts`: as text, because it has no registered media type."""
    return _public(packaged(request, "npm/watchword.d.ts", TEXT))


def _public(response: Response) -> Response:
    response.headers["access-control-allow-origin"] = "*"
    return response
