"""POST /oauth/revoke: end the session of a token (RFC 7009)."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.actor import Actor, By, EndReason
from watchword.core.refresh_token import PREFIX
from watchword.core.session import from_text
from watchword.errors import AccessTokenError, RefreshInvalid, UnsupportedTokenType
from watchword.ports.clients import Client
from watchword.server.client_auth import authenticate_client
from watchword.server.operation import Operation
from watchword.server.parsing import FORM, client_address, engine_of, read_form
from watchword.server.problems import ErrorFormat, PayloadTooLarge
from watchword.server.responses import JSON


class TokenForm(msgspec.Struct, frozen=True):
    """A token of either kind; the hint is not needed to tell which.

    Empty parameters count as omitted.
    """

    token: str
    token_type_hint: str = ""
    client_id: str = ""
    client_secret: str = ""


class RevokedToken(msgspec.Struct, frozen=True):
    """Nothing more is to be said (RFC 7009 §2.2)."""


async def revoke(request: Request) -> Response:
    form = await read_form(request)
    token = form.need("token")
    client = await authenticate_client(request, form)
    refresh = token.startswith(PREFIX)
    find = _session_of_refresh_token if refresh else _session_of_access_token
    session_id = await find(request, token, client)
    if session_id is not None:
        await engine_of(request).sessions.end_one(
            session_id,
            EndReason.REVOKED_BY_CLIENT,
            by=By(Actor.CLIENT, client_address(request)),
        )
    # Clients ignore the body (RFC 7009 §2.2), but some parse every answer: it is JSON.
    return JSON(RevokedToken())


OPERATION = Operation(
    method="POST",
    path="/oauth/revoke",
    handler=revoke,
    error_format=ErrorFormat.OAUTH,
    summary="End the session of a token, by OAuth",
    description=(
        "Takes an access token or a refresh token of any generation: either ends the "
        "whole session. 200 for a token that is unknown, too."
    ),
    tag="oauth",
    request=TokenForm,
    request_media_type=FORM,
    example={"token": "ww_rt_…", "client_id": "first-party"},
    response=RevokedToken,
    client=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.RefreshInvalid,
        errors.UnsupportedTokenType,
        PayloadTooLarge,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


# The token of another client is refused (RFC 7009 §2.1), with the error code of RFC
# 6749 §5.2 for that. A token that is not of this server is not refused.


async def _session_of_refresh_token(
    request: Request, token: str, client: Client
) -> bytes | None:
    session = await engine_of(request).sessions.session_of(token)
    if session is None:
        return None
    if session.client_id != client.id:
        raise RefreshInvalid
    return session.id


async def _session_of_access_token(
    request: Request, token: str, client: Client
) -> bytes | None:
    try:
        # Only the signature is checked: an expired token may end its session too.
        claims = engine_of(request).checker.verify_signature(token)
    except AccessTokenError:
        return None
    if claims.client_id != client.id:
        raise RefreshInvalid
    if claims.sid is None:
        raise UnsupportedTokenType
    return from_text(claims.sid)
