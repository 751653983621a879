"""The documentation page: Swagger UI, served from the package.

Owns `/docs`, the files below it, and the way in which a file of the package is
answered. The names of files come from a fixed table, so no other file on the disk can
be read. There is no CDN and no inline script, so the page works offline and under a
strict policy.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from watchword.errors import NotFound

_PAGE: Final = "index.html"
_PIECE: Final = 64 * 1024
_VENDORED: Final = "swagger-ui/"
HTML: Final = "text/html; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"

FILES: Final = {
    "watchword.css": ("watchword.css", _STYLE),
    "watchword.svg": ("watchword.svg", "image/svg+xml"),
    "watchword-docs.js": ("watchword-docs.js", SCRIPT),
    "watchword-docs.css": ("watchword-docs.css", _STYLE),
    "swagger-ui-bundle.js": (_VENDORED + "swagger-ui-bundle.js", SCRIPT),
    "swagger-ui.css": (_VENDORED + "swagger-ui.css", _STYLE),
    # The first line of the bundle refers to its notices. The licence has to come with
    # every copy of the bundle (Apache-2.0 §4).
    "swagger-ui-bundle.js.LICENSE.txt": (
        _VENDORED + "swagger-ui-bundle.js.LICENSE.txt",
        TEXT,
    ),
    "LICENSE": (_VENDORED + "LICENSE", TEXT),
    "NOTICE": (_VENDORED + "NOTICE", TEXT),
}
"""What `/docs/<name>` serves: the file in `static/`, and its content type."""

# Swagger UI needs style attributes and images from `data:`; all else is refused.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class _File(NamedTuple):
    body: bytes
    etag: str


async def docs(request: Request) -> Response:
    """`GET /docs`: the page."""
    response = packaged(request, _PAGE, HTML)
    response.headers["content-security-policy"] = POLICY
    return response


async def docs_file(request: Request) -> Response:
    """`GET /docs/{name}`: a file that the page needs. Raises NotFound."""
    found = FILES.get(request.path_params["name"])
    if found is None:
        raise NotFound
    return packaged(request, *found)


def packaged(request: Request, path: str, media_type: str) -> Response:
    """A file of `static/`, or 304 for a client that has it already."""
    body, etag = _read(path)
    # `no-cache` makes browsers ask each time, which costs a 304. The names of the files
    # have no version, and after an upgrade an old script must not run in a new page.
    headers = {"cache-control": "no-cache", "etag": etag}
    # A proxy that compresses may have made the ETag weak (RFC 9110 §8.8.3.2).
    requested = request.headers.get("if-none-match", "").split(",")
    if etag in (one.strip().removeprefix("W/") for one in requested):
        return Response(status_code=304, headers=headers)
    return _Pieces(body, headers=headers, media_type=media_type)


class _Pieces(Response):
    """Sent a piece at a time, each when the client has read most of those before.

    TLS copies what waits to be sent. Without pieces that would be the whole file, for
    each client that does not read.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        for begin in range(0, len(self.body), _PIECE):
            end = begin + _PIECE
            piece, more = bytes(self.body[begin:end]), end < len(self.body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


@cache
def _read(path: str) -> _File:
    """A file of the package and its ETag, read at its first use."""
    body = resources.files("watchword.server").joinpath("static", path).read_bytes()
    return _File(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
