"""GET /.well-known/jwks.json and /openapi.json: keys and OpenAPI document."""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import JWKS_MAX_AGE
from watchword.server.openapi import Operation, document
from watchword.server.parsing import engine_of, one_header


class KeySet(msgspec.Struct, frozen=True):
    """RFC 7517 §5: the public keys, each bound to one algorithm."""

    keys: list[dict[str, Any]]


JWKS = Operation(
    method="GET",
    path="/.well-known/jwks.json",
    summary="Signing keys",
    tag="operation",
    response=KeySet,
    response_media_type="application/jwk-set+json",
)


async def jwks(request: Request) -> Response:
    return cached(
        request,
        engine_of(request).keys.jwks,
        "application/jwk-set+json",
        {
            "cache-control": f"public, max-age={JWKS_MAX_AGE // 1000}",
            # The keys are public, so pages of any origin may read them. The request's
            # credentials are not looked at.
            "access-control-allow-origin": "*",
        },
    )


@cache
def openapi_document() -> bytes:
    """The OpenAPI document of the server: the same for as long as the process lives.

    Making it takes 12 ms, so it is made when the process starts and not by a request.
    """
    return msgspec.json.encode(document())


async def openapi(request: Request) -> Response:
    return cached(
        request,
        openapi_document(),
        "application/json",
        {"cache-control": "no-cache"},
    )


def cached(
    request: Request, body: bytes, media_type: str, headers: dict[str, str]
) -> Response:
    """The body, or 304 for a client that has it already (RFC 9110 §13.1.2)."""
    etag = _etag_of(body)
    headers["etag"] = etag
    if one_header(request, b"if-none-match") == etag.encode():
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


@lru_cache(maxsize=32)  # an entry for each document, and for each set of keys so far
def _etag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
