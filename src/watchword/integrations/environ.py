"""A request's headers, from where WSGI (PEP 3333) and Django keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchword.tokens.headers import Headers


def headers_of(environ: Mapping[str, Any], fields: Headers = ()) -> Headers:
    """The headers: names in lower case, and values.

    WSGI servers, and Django, join several fields of one name by a comma. `fields` are
    the fields as they came, if the server tells them (ASGI). A value that is just those
    fields joined is taken apart again. A value that a middleware of the app has set
    instead is kept.
    """
    found = [
        (name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")
    ]
    plain = ("CONTENT_TYPE", "CONTENT_LENGTH")
    found += [(name, environ[name]) for name in plain if environ.get(name)]
    # None of our values has characters outside of Latin-1: they may be replaced.
    headers = [
        (name.replace("_", "-").lower().encode(), value.encode("latin-1", "replace"))
        for name, value in found
    ]
    if len(fields) == len({name for name, _ in fields}):
        return headers
    return [
        (name, field)
        for name, value in headers
        for field in _apart(value, [one for key, one in fields if key == name])
    ]


def place_of(environ: Mapping[str, Any], scheme: str) -> dict[str, Any]:
    """`scheme`, `server` and `client` of a request, as ASGI has them."""
    name, port = environ.get("SERVER_NAME"), str(environ.get("SERVER_PORT"))
    address = environ.get("REMOTE_ADDR")
    return {
        "scheme": scheme,
        "server": (name, int(port)) if port.isdecimal() else None,
        "client": (address, 0) if address else None,
    }


def _apart(value: bytes, fields: list[bytes]) -> list[bytes]:
    return fields if b",".join(fields) == value else [value]
