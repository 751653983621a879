"""GET /secure: a call that needs an access token, as those of any API."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of
from watchword.server.responses import JSON
from watchword.server.token_auth import ACCESS_ERRORS, authenticate


class Secure(msgspec.Struct, frozen=True, rename="camel"):
    """Proof that the token worked, and for how many seconds it still will."""

    subject: str
    expires_in: int
    message: str = "API accessed using valid JWT token"


async def secure(request: Request) -> Response:
    claims = await authenticate(request)
    left = claims.exp - engine_of(request).clock() // 1000
    # The token was good when it was verified, but that second may be over by now.
    return JSON(Secure(claims.sub, max(left, 1)))


OPERATION = Operation(
    method="GET",
    path=f"{BASE}/secure",
    handler=secure,
    is_hot=True,
    summary="2, 3, 5. Call the API",
    description="401 with code `token_expired` once the token is too old: refresh.",
    response=Secure,
    bearer=True,
    errors=ACCESS_ERRORS,
)
