"""A request's headers, from where WSGI (PEP 3333) and Django keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchword.verify.presented import Headers


def headers_of(environ: Mapping[str, Any]) -> Headers:
    """Names in lower case, and values.

    Servers join those that came twice by a comma, which no credentials may contain.
    """
    found = [
        (name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")
    ]
    plain = ("CONTENT_TYPE", "CONTENT_LENGTH")
    found += [(name, environ[name]) for name in plain if environ.get(name)]
    # What is not Latin-1 cannot be ours.
    return [
        (name.replace("_", "-").lower().encode(), value.encode("latin-1", "replace"))
        for name, value in found
    ]
