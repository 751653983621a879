"""POST /login: begins a session for a name and its password."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.server.beginning import (
    FIRST_FACTOR_ERRORS,
    SessionFields,
    SessionRequest,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import Tokens


class Login(SessionFields, frozen=True):
    """The name and password of a sign-in, and how the session shall be.

    `username` is the name or the mail address of the account. `transport` `cookie`: the
    refresh token comes in a cookie that no script can read, and never in the answer.
    `scope` (space separated) and `resource` (RFC 8707) may be less than what the client
    may have.
    """

    username: Annotated[str, msgspec.Meta(max_length=1024)]
    password: str


_BODY = msgspec.json.Decoder(Login)


async def login(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _BODY)
    session = await SessionRequest.of(request, body)
    return await session.by_password(body.username, body.password)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/login",
    handler=login,
    summary="1. Sign in",
    description=(
        "JSON only. Too many failures for a name or an address answer 429. With a DPoP "
        "proof the session of a public client is bound to its key. A confidential "
        "client sends Authorization: Basic."
    ),
    request=Login,
    example={"username": "admin", "password": "the password shown at first start"},
    response=Tokens,
    dpop=True,
    client=True,
    errors=FIRST_FACTOR_ERRORS,
)
