"""GET /watchword.js and /watchword.d.ts: the module for pages, as npm has it.

Pages of any origin may read it. A page of another origin can import a module only with
CORS. The module is public, and `WATCHWORD_CORS_ORIGINS` decides whether its calls are
answered.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.operation import Operation
from watchword.server.static_files import SCRIPT, TEXT, static_file

_PUBLIC: Final = {"access-control-allow-origin": "*"}


async def script(request: Request) -> Response:
    return static_file(request, "npm/watchword.js", SCRIPT, _PUBLIC)


async def types(request: Request) -> Response:
    """As text, because it has no registered media type."""
    return static_file(request, "npm/watchword.d.ts", TEXT, _PUBLIC)


MODULE = Operation(
    method="GET",
    path="/watchword.js",
    handler=script,
    is_documented=False,
)

TYPES = Operation(
    method="GET",
    path="/watchword.d.ts",
    handler=types,
    is_documented=False,
)
