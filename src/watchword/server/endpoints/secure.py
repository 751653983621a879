"""GET /secure and /me: two endpoints that need an access token."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.access_token import Claims
from watchword.server.openapi import BASE, Operation
from watchword.server.parsing import authenticate, engine_of
from watchword.server.responses import JSON

ACCESS_ERRORS = (
    errors.InvalidRequest,
    errors.TokenMissing,
    errors.TokenInvalid,
    errors.TokenExpired,
    errors.TokenRevoked,
    errors.TokenProofInvalid,
    errors.TokenNonceNeeded,
    errors.Overloaded,
    errors.StoreUnavailable,
)


class Secure(msgspec.Struct, frozen=True, rename="camel"):
    """Proof that the token worked, and for how many seconds it still will."""

    subject: str
    expires_in: int
    message: str = "API accessed using valid JWT token"


SECURE = Operation(
    method="GET",
    path=f"{BASE}/secure",
    summary="2, 3, 5. Call the API",
    description="401 with code `token_expired` once the token is too old: refresh.",
    response=Secure,
    bearer=True,
    errors=ACCESS_ERRORS,
)

# Claims that a claims hook added are on the top level, as they are in the token.
_PAYLOAD = msgspec.defstruct(
    "Claims",
    [
        (one.name, one.type, one.default)
        for one in msgspec.structs.fields(Claims)
        if one.name != "extra"
    ],
    kw_only=True,
    namespace={"__doc__": Claims.__doc__},
)

ME = Operation(
    method="GET",
    path=f"{BASE}/me",
    summary="The claims of the access token",
    response=_PAYLOAD,
    bearer=True,
    errors=ACCESS_ERRORS,
)


async def secure(request: Request) -> Response:
    claims = await authenticate(request)
    left = claims.exp - engine_of(request).clock() // 1000
    # The token was good when it was verified, but that second may be over by now.
    return JSON(Secure(claims.sub, max(left, 1)))


async def me(request: Request) -> Response:
    shown = msgspec.to_builtins(await authenticate(request))
    return JSON(shown | shown.pop("extra", {}))
