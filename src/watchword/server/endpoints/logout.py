"""POST /logout and /logout-all: end this session, or all of the account."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.session import from_text
from watchword.errors import InvalidRequest, TokenInvalid
from watchword.server.answers import JSON
from watchword.server.endpoints.refresh import BODY, Refresh, RefreshToken, token_in
from watchword.server.openapi import BASE, Operation
from watchword.server.parsing import (
    authenticate,
    bearer_token,
    client_address,
    engine_of,
    parse_json,
    read_body,
)
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType


class LoggedOut(msgspec.Struct, frozen=True):
    message: str = "Logged out successfully"


class Revoked(msgspec.Struct, frozen=True):
    """How many sessions were alive until now."""

    revoked: int


LOGOUT = Operation(
    method="POST",
    path=f"{BASE}/logout",
    summary="6. Log out",
    description=(
        "Ends the session of any of its refresh tokens, spent and expired ones too, or "
        "of the bearer token where there is no body. Always 200: a token that is "
        "unknown has no session to end."
    ),
    request=Refresh | RefreshToken,
    request_required=False,
    example={"refreshToken": "ww_rt_…"},
    response=LoggedOut,
    bearer=True,
    errors=(
        errors.InvalidRequest,
        errors.TokenInvalid,
        PayloadTooLarge,
        UnsupportedMediaType,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)

LOGOUT_ALL = Operation(
    method="POST",
    path=f"{BASE}/logout-all",
    summary="Log out everywhere",
    response=Revoked,
    bearer=True,
    errors=(
        errors.InvalidRequest,
        errors.TokenMissing,
        errors.TokenInvalid,
        errors.TokenExpired,
        errors.TokenRevoked,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


async def logout(request: Request) -> Response:
    body = await read_body(request)
    if body:
        token = token_in(parse_json(request, body, BODY))
        session = await engine_of(request).sessions.session_of(token)
        session_id = None if session is None else session.id
    else:
        session_id = _session_of_bearer(request)
    if session_id is not None:
        await engine_of(request).sessions.end_one(
            session_id, "logout", address=client_address(request)
        )
    return JSON(LoggedOut())


def _session_of_bearer(request: Request) -> bytes | None:
    token = bearer_token(request)
    if token is None:
        raise InvalidRequest("Send the refresh token, or Authorization: Bearer.")
    # Expired or revoked is no hindrance: any token of a session may end it.
    claims = engine_of(request).verifier.verify_signature(token)
    return from_text(claims.sid)


async def logout_all(request: Request) -> Response:
    claims = authenticate(request)
    account_id = from_text(claims.sub)
    if account_id is None:
        raise TokenInvalid
    count = await engine_of(request).sessions.end_all(
        account_id, "logout everywhere", address=client_address(request)
    )
    return JSON(Revoked(count))
