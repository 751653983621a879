"""GET /watchword.js and /watchword.d.ts: the module for pages, as npm has it.

Any origin may read it: a page elsewhere can only import a module with CORS, it is the
same for everybody, and what it may do there is for `WATCHWORD_CORS_ORIGINS` to say.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.endpoints.docs import SCRIPT, TEXT, packaged


async def script(request: Request) -> Response:
    """`GET /watchword.js`."""
    return _public(packaged(request, "npm/watchword.js", SCRIPT))


async def types(request: Request) -> Response:
    """`GET /watchword.d.ts`: as text, for there is no registered type for it."""
    return _public(packaged(request, "npm/watchword.d.ts", TEXT))


def _public(response: Response) -> Response:
    response.headers["access-control-allow-origin"] = "*"
    return response
