"""How files of the package in `static/` are answered.

Their names come from the program and never from a request, so no other file on the disk
can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from watchword.errors import NotFound
from watchword.server.responses import etag_of

SCRIPT: Final = "text/javascript; charset=utf-8"
STYLE: Final = "text/css; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
_PIECE: Final = 64 * 1024


class _File(NamedTuple):
    body: bytes
    etag: str


def static_file(
    request: Request, path: str, media_type: str, headers: Mapping[str, str] = {}
) -> Response:
    """A file of `static/`, or 304 for a client that has it already."""
    body, etag = _read(path)
    # `no-cache` makes browsers ask each time, which costs a 304. The names of the files
    # have no version, and after an upgrade an old script must not run in a new page.
    headers = {"cache-control": "no-cache", "etag": etag, **headers}
    # A proxy that compresses may have made the ETag weak (RFC 9110 §8.8.3.2).
    requested = request.headers.get("if-none-match", "").split(",")
    if etag in (one.strip().removeprefix("W/") for one in requested):
        return Response(status_code=304, headers=headers)
    return _Pieces(body, headers=headers, media_type=media_type)


def named_file(request: Request, files: Mapping[str, tuple[str, str]]) -> Response:
    """The file that `files` has under the `name` in the request's path.

    `files` says of each name the file in `static/` and its media type. Raises NotFound.
    """
    found = files.get(request.path_params["name"])
    if found is None:
        raise NotFound
    return static_file(request, *found)


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


def static_text(path: str) -> str:
    """A file of `static/` as text."""
    return _read(path).body.decode()


@cache
def _read(path: str) -> _File:
    """A file of the package and its ETag, read at its first use."""
    body = resources.files("watchword.server").joinpath("static", path).read_bytes()
    return _File(body, etag_of(body))
