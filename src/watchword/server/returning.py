"""The page of the console that a sign-in or a new proof leads back to.

It is the parameter `then` of the pages on that way, which keep it in their links. Only
what can be a page of the console is believed, and its address is relative: so no link
can lead a user to another site by it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from watchword.server.admin_listener import is_at_admin_listener

THEN: Final = "then"
CONSOLE: Final = "console"
"""Where the console is, seen from a page."""

_PLACE: Final = re.compile(rf"{CONSOLE}(?:/[a-z]{{1,20}})?", re.ASCII)
_BELOW: Final = re.compile(rf"/{CONSOLE}/[a-z]{{1,20}}\Z", re.ASCII)
_QUERY_MAX: Final = 2_000
_FIELDS_MAX: Final = 32


def place_in(request: Request) -> str:
    """Where a page leads back to, seen from a page, or "".

    At the admin listener there is nothing but the console.
    """
    path, _, query = request.query_params.get(THEN, "").partition("?")
    if _PLACE.fullmatch(path):
        return _place(path, query)
    return CONSOLE if is_at_admin_listener(request) else ""


def place_of(request: Request) -> str:
    """This page of the console itself, with its query, seen from a page."""
    path = request.scope["path"]
    below = _BELOW.search(path)
    query = request.scope["query_string"].decode("ascii", "replace")
    return _place(below[0][1:] if below else CONSOLE, query)


def is_below(path: str) -> bool:
    """Whether a page of that path is one segment below the others."""
    return _BELOW.search(path) is not None


def _place(path: str, query: str) -> str:
    if len(query) > _QUERY_MAX:
        return path
    try:
        pairs = parse_qsl(query, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:
        return path
    return f"{path}?{urlencode(pairs)}" if pairs else path
