"""The answers that endpoints share: tokens, JSON, and documents that may be cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import TokenSet, as_text
from watchword.server.parsing import one_header

Scheme = Literal["Bearer", "DPoP"]
"""The scheme by which an access token is sent (RFC 6750, RFC 9449)."""

Header = tuple[bytes, bytes]
_HEAD: Final[Sequence[Header]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
)
# RFC 6749 §5.1 demands it beside `no-store`.
PRAGMA: Final[Header] = (b"pragma", b"no-cache")


class Tokens(msgspec.Struct, frozen=True, rename="camel"):
    """Both tokens, and how long each works: seconds from now."""

    access_token: str
    expires_in: int
    refresh_token: str | msgspec.UnsetType
    refresh_expires_in: int
    session_id: str
    token_type: Scheme = "Bearer"  # noqa: S105 - the scheme's name
    scope: str | msgspec.UnsetType = msgspec.UNSET


def tokens_of(tokens: TokenSet) -> Tokens:
    """The tokens for the client. In a cookie session without the refresh token."""
    return Tokens(
        tokens.access_token,
        tokens.expires_in,
        msgspec.UNSET if tokens.session.cookie else tokens.refresh_token,
        tokens.refresh_expires_in,
        as_text(tokens.session.id),
        "DPoP" if tokens.bound else "Bearer",
        " ".join(tokens.scope) or msgspec.UNSET,
    )


class JSON(Response):
    """A JSON answer that no cache may store.

    It does less work than Starlette's, because hot paths use it.
    """

    def __init__(
        self,
        content: Any,  # noqa: ANN401 - whatever msgspec encodes
        status_code: int = 200,
        headers: Sequence[Header] = (),
    ) -> None:
        self.status_code = status_code
        self.body = msgspec.json.encode(content)
        self.background = None
        length = str(len(self.body)).encode()
        self.raw_headers = [*_HEAD, (b"content-length", length), *headers]


class Versioned(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that callers change by the version that they saw: its `ETag`."""

    version: int


def versioned(content: Versioned, status: int = 200) -> JSON:
    """The answer with one thing, and with its version as its `ETag`."""
    return JSON(content, status, headers=[(b"etag", b'"%d"' % content.version)])


def done() -> Response:
    """The answer that says no more than that it was done."""
    return Response(status_code=204, headers={"cache-control": "no-store"})


def utc(instant: int) -> datetime:
    """An instant (ms) as answers show it: in whole seconds, UTC."""
    return datetime.fromtimestamp(instant // 1000, UTC)


def cached(
    request: Request, body: bytes, media_type: str, headers: dict[str, str]
) -> Response:
    """The body, or 304 for a client that has it already (RFC 9110 §13.1.2)."""
    etag = etag_of(body)
    headers["etag"] = etag
    if one_header(request, b"if-none-match") == etag.encode():
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


@lru_cache(maxsize=32)  # an entry for each document, and for each set of keys so far
def etag_of(body: bytes) -> str:
    """The entity tag of a body (RFC 9110 §8.8.3)."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
