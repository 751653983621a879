"""What endpoints answer with."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from watchword.core.session import Grant, as_text

_HEAD = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
)


class Tokens(msgspec.Struct, frozen=True, rename="camel"):
    """Both tokens, and how long each works: seconds from now."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name


def tokens_of(grant: Grant) -> Tokens:
    """A grant, as clients see it."""
    return Tokens(
        grant.access_token,
        grant.expires_in,
        grant.refresh_token,
        grant.refresh_expires_in,
        as_text(grant.session.id),
    )


class JSON(Response):
    """A JSON answer that nobody stores. Leaner than Starlette's: hot paths use it."""

    def __init__(self, content: Any, status_code: int = 200) -> None:  # noqa: ANN401
        self.status_code = status_code
        self.body = msgspec.json.encode(content)
        self.background = None
        length = str(len(self.body)).encode()
        self.raw_headers = [*_HEAD, (b"content-length", length)]
