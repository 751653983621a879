"""The access log: one line for each request, on standard error, as text or JSON.

A line has the path as it was sent, escaped and without tokens. It never has the query,
because callers put tokens there. Lines are written together a few times a second, to
save system calls.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from functools import lru_cache
from typing import Final

import msgspec
from starlette.types import Scope

from watchword.server.request_ids import REQUEST_ID, RequestIds

FLUSH_SECONDS: Final = 0.2
PATH_SHOWN: Final = 200
_METHOD_SHOWN: Final = 16  # a method may be any word, of any length (RFC 9110 §9.1)
# All of our own paths are shorter than this; every token is longer.
PATH_PLAIN: Final = 40
# Characters that mean the same when they are escaped (RFC 3986 §2.3).
_UNRESERVED: Final = re.compile(
    r"%(2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE
)
_TOKEN: Final = re.compile(r"ww_[a-z]{2,3}_[\w-]+|eyJ[\w.-]+", re.ASCII)


class AccessLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line as JSON, but for its time. `problem` is the code of a refusal."""

    level: str
    logger: str
    client: str
    method: str
    path: str
    status: int
    milliseconds: float
    request_id: str
    problem: str = ""


class AccessLog:
    """The lines of one process that have not been written yet."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.ids = RequestIds()
        self._line, self._begin = _LINES[as_json]
        self._lines: list[str] = []
        self._flushing = False

    def write(self, scope: Scope, status: int, seconds: float) -> None:
        """Add the line of a request that has been answered, in that time."""
        # Written when the request ends: thousands of lines at once would hold all other
        # requests up.
        self._lines.append(self._line(scope, status, seconds))
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what has not been written yet."""
        self._flushing = False
        lines, self._lines = self._lines, []
        begin = time.strftime(self._begin, time.gmtime())
        sys.stderr.write("".join(begin + line for line in lines))


def _text_line(scope: Scope, status: int, seconds: float) -> str:
    client = scope["client"]
    return (
        f"{client[0] if client else '-'} {scope['method'][:_METHOD_SHOWN]} "
        f"{_shown(scope['path'])} {status} {scope.get('problem', '-')} "
        f"{seconds * 1000:.1f}ms {scope[REQUEST_ID]}\n"
    )


def _json_line(scope: Scope, status: int, seconds: float) -> str:
    client = scope["client"]
    line = AccessLine(
        level="info",
        logger="watchword.access",
        client=client[0] if client else "-",
        method=scope["method"][:_METHOD_SHOWN],
        path=_shown(scope["path"]),
        status=status,
        milliseconds=round(seconds * 1000, 1),
        request_id=scope[REQUEST_ID],
        problem=scope.get("problem", ""),
    )
    return msgspec.json.encode(line).decode().removeprefix("{") + "\n"


_LINES: Final = {
    False: (_text_line, "%Y-%m-%dT%H:%M:%SZ "),
    True: (_json_line, '{"time":"%Y-%m-%dT%H:%M:%SZ",'),
}
"""By whether they are JSON: what makes a line, and what each begins with."""


def _shown(path: str) -> str:
    return _usual(path) if len(path) <= PATH_PLAIN else _escaped(path)


def _escaped(path: str) -> str:
    """The path as visible ASCII in one line: without tokens, and of bounded length."""
    if len(path) > PATH_PLAIN:
        path = _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), path)
        path = _TOKEN.sub("[token]", path)
    shown = path[:PATH_SHOWN]
    if not (shown.isascii() and shown.isprintable()):
        shown = ascii(shown)[1:-1]
    return shown.replace(" ", "%20")


_usual: Final = lru_cache(maxsize=256)(_escaped)
"""For short paths alone: what is cached is bounded in bytes too."""
