"""GET /pages/<name>: the stylesheet, the mark and the script of the pages."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.operation import Operation
from watchword.server.pages.rendering import FOLDER
from watchword.server.static_files import SCRIPT, STYLE, named_file

FILES: Final = {
    "watchword.css": ("watchword.css", STYLE),
    "watchword.svg": ("watchword.svg", "image/svg+xml"),
    "watchword-pages.js": ("watchword-pages.js", SCRIPT),
}
"""What `/pages/<name>` serves: the file in `static/`, and its content type."""


async def page_file(request: Request) -> Response:
    return named_file(request, FILES)


OPERATION = Operation(
    method="GET",
    path=f"/{FOLDER}/{{name}}",
    handler=page_file,
    is_embedded=False,
    is_documented=False,
)
