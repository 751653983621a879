"""POST /refresh: exchanges a refresh token for its successor and an access token."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.server.client_auth import native_client
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of, parse_json, read_body
from watchword.server.presenting import (
    ROTATION_ERRORS,
    presented,
    rotated,
    token_of_cookie,
)
from watchword.server.responses import Tokens

RefreshToken = Annotated[str, msgspec.Meta(description="`ww_rt_` and 76 characters.")]


# Defaults are left out when it is written, so that a usual body equals what would be
# written. `parse_json` has to read all other bodies twice.
class Refresh(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The newest refresh token of the session, and the client that has it."""

    refresh_token: RefreshToken
    client_id: str = FIRST_PARTY.id


BODY: msgspec.json.Decoder[Refresh | str] = msgspec.json.Decoder(Refresh | str)


async def refresh(request: Request) -> Response:
    body = await read_body(request)
    if body:
        sent, cookie = refresh_in(parse_json(request, body, BODY)), False
        token, client = sent.refresh_token, await native_client(request, sent.client_id)
    else:
        token, client, cookie = token_of_cookie(request), FIRST_PARTY, True
    tokens = await engine_of(request).sessions.refresh(
        token, **presented(request, client, cookie=cookie)
    )
    return rotated(tokens, token, cookie=cookie)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/refresh",
    handler=refresh,
    is_hot=True,
    summary="4. Refresh",
    description=(
        "Spends the refresh token. The body may also be the bare token as a JSON "
        "string, or be left out where the session's cookie comes with the request (and "
        "the header X-Requested-With). A client other than first-party sends its "
        "`clientId`, and a confidential one Authorization: Basic. A spent token that "
        "comes back without its Idempotency-Key ends the session, unless it has a "
        "grace: a thief may hold a copy."
    ),
    request=Refresh | RefreshToken,
    request_required=False,
    cookie=True,
    dpop=True,
    example={"refreshToken": "ww_rt_…"},
    response=Tokens,
    retry_key=True,
    client=True,
    errors=(errors.InvalidClient, errors.UnauthorizedClient, *ROTATION_ERRORS),
)


def refresh_in(body: Refresh | str) -> Refresh:
    """The refresh request, from either form of the body."""
    return Refresh(body) if isinstance(body, str) else body
