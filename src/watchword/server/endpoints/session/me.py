"""GET /me: the claims of the access token."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.access_token import Claims
from watchword.server.operation import BASE, Operation
from watchword.server.responses import JSON
from watchword.server.token_auth import ACCESS_ERRORS, authenticate

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


async def me(request: Request) -> Response:
    shown = msgspec.to_builtins(await authenticate(request))
    return JSON(shown | shown.pop("extra", {}))


OPERATION = Operation(
    method="GET",
    path=f"{BASE}/me",
    handler=me,
    summary="The claims of the access token",
    response=_PAYLOAD,
    bearer=True,
    errors=ACCESS_ERRORS,
)
