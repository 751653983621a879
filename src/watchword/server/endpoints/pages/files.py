"""GET /pages/<name>: the stylesheet, the mark and the scripts of the pages."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.operation import Operation
from watchword.server.pages.rendering import FOLDER
from watchword.server.static_files import SCRIPT, STYLE, static_file

FILES: Final = {
    "watchword.css": ("watchword.css", STYLE),
    "watchword.svg": ("watchword.svg", "image/svg+xml"),
    "watchword-pages.js": ("watchword-pages.js", SCRIPT),
    "watchword-passkeys.js": ("watchword-passkeys.js", SCRIPT),
    "watchword-console.js": ("watchword-console.js", SCRIPT),
}
"""What `/pages/<name>` serves: the file in `static/`, and its content type."""

# Each by its whole path: an app that these pages are mounted in may have other paths
# below `/pages/`.
_PATHS: Final = tuple(f"/{FOLDER}/{name}" for name in FILES)


async def page_file(request: Request) -> Response:
    name = request.url.path.rpartition("/")[2]
    return static_file(request, *FILES[name])


OPERATION = Operation(
    method="GET",
    path=_PATHS[0],
    more_paths=_PATHS[1:],
    handler=page_file,
    is_page=True,
    needs_accounts=True,
    is_documented=False,
)
