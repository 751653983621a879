"""GET /.well-known/jwks.json: the keys that tokens of all kinds are verified with."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import JWKS_MAX_AGE
from watchword.server.operation import Operation
from watchword.server.parsing import engine_of
from watchword.server.responses import cached


class KeySet(msgspec.Struct, frozen=True):
    """RFC 7517 §5: the public keys, each bound to one algorithm."""

    keys: list[dict[str, Any]]


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


OPERATION = Operation(
    method="GET",
    path="/.well-known/jwks.json",
    handler=jwks,
    summary="Signing keys",
    tag="operation",
    response=KeySet,
    response_media_type="application/jwk-set+json",
)
