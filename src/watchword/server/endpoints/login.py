"""POST /login: a name and a password for a session."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.bootstrap import FIRST_PARTY
from watchword.server.answers import JSON, Tokens, tokens_of
from watchword.server.openapi import BASE, Operation
from watchword.server.parsing import (
    client_address,
    engine_of,
    parse_json,
    read_body,
    user_agent,
)
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType


class Login(msgspec.Struct, frozen=True):
    """Who signs in."""

    username: Annotated[str, msgspec.Meta(max_length=1024)]
    password: str


_BODY = msgspec.json.Decoder(Login)

OPERATION = Operation(
    method="POST",
    path=f"{BASE}/login",
    summary="1. Sign in",
    description="JSON only. Too many failures for a name or an address answer 429.",
    request=Login,
    example={"username": "admin", "password": "the password shown at first start"},
    response=Tokens,
    errors=(
        errors.InvalidRequest,
        errors.InvalidCredentials,
        PayloadTooLarge,
        UnsupportedMediaType,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


async def login(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _BODY)
    grant = await engine_of(request).accounts.sign_in(
        body.username,
        body.password,
        client_id=FIRST_PARTY,
        address=client_address(request),
        user_agent=user_agent(request),
    )
    return JSON(tokens_of(grant))
