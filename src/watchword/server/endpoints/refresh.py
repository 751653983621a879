"""POST /refresh: the refresh token for its successor and a fresh access token."""

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
    retry_key,
)
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType

RefreshToken = Annotated[str, msgspec.Meta(description="`ww_rt_` and 76 characters.")]


class Refresh(msgspec.Struct, frozen=True, rename="camel"):
    """The newest refresh token of the session."""

    refresh_token: RefreshToken


BODY: msgspec.json.Decoder[Refresh | str] = msgspec.json.Decoder(Refresh | str)

OPERATION = Operation(
    method="POST",
    path=f"{BASE}/refresh",
    summary="4. Refresh",
    description=(
        "Spends the refresh token. The body may also be the bare token as a JSON "
        "string. A spent token that comes back without its Idempotency-Key ends the "
        "session: somebody else may hold a copy."
    ),
    request=Refresh | RefreshToken,
    example={"refreshToken": "ww_rt_…"},
    response=Tokens,
    retry_key=True,
    errors=(
        errors.InvalidRequest,
        errors.RetryKeyReused,
        errors.RefreshInvalid,
        errors.RefreshReused,
        errors.SessionExpired,
        errors.SessionRevoked,
        PayloadTooLarge,
        UnsupportedMediaType,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


async def refresh(request: Request) -> Response:
    body = parse_json(request, await read_body(request), BODY)
    grant = await engine_of(request).sessions.refresh(
        token_in(body),
        client_id=FIRST_PARTY,
        retry_key=retry_key(request),
        address=client_address(request),
    )
    return JSON(tokens_of(grant))


def token_in(body: Refresh | str) -> str:
    """The token, from either form of the body."""
    return body if isinstance(body, str) else body.refresh_token
