"""POST /step-up: the user of a session proves it anew, without another sign-in."""

from __future__ import annotations

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of, parse_json, read_body
from watchword.server.presenting import (
    ROTATION_ERRORS,
    presented,
    rotated,
    token_of_cookie,
)
from watchword.server.responses import Tokens


class StepUpRequest(msgspec.Struct, frozen=True, rename="camel"):
    """What proves the user now.

    `refreshToken` is left out where the session's cookie comes with the request.
    """

    method: Literal["password"]
    password: str
    refresh_token: str | None = None


_BODY = msgspec.json.Decoder(StepUpRequest)


async def step_up(request: Request) -> Response:
    proving = engine_of(request).second_factors.step_up
    body = parse_json(request, await read_body(request), _BODY)
    cookie = body.refresh_token is None
    token = token_of_cookie(request) if cookie else body.refresh_token or ""
    tokens = await proving.by_password(
        token, body.password, **presented(request, FIRST_PARTY, cookie=cookie)
    )
    return rotated(tokens, token, cookie=cookie)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/step-up",
    handler=step_up,
    needs_accounts=True,
    tag="account",
    summary="Prove the user anew",
    description=(
        "For a call that answered `insufficient_user_authentication`: spends the "
        "refresh token as /refresh does, and `auth_time` of the new access token is "
        "now. Only for sessions of first-party."
    ),
    request=StepUpRequest,
    example={
        "refreshToken": "ww_rt_…",
        "method": "password",
        "password": "four words make a phrase",
    },
    response=Tokens,
    cookie=True,
    dpop=True,
    retry_key=True,
    errors=(*ROTATION_ERRORS, errors.NotFound, errors.InvalidCredentials),
)
