"""POST /logout and /logout-all: end this session, or all of the account."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.core.actor import EndReason
from watchword.core.session import from_text
from watchword.errors import InvalidRequest, RefreshInvalid, TokenInvalid
from watchword.server.client_auth import native_client
from watchword.server.cookies import (
    CLEAR_SITE_DATA,
    drop_cookie,
    is_by_cookie,
    token_in_cookie,
)
from watchword.server.endpoints.session.refresh import (
    BODY,
    Refresh,
    RefreshToken,
    refresh_in,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    by_user,
    engine_of,
    parse_json,
    read_body,
)
from watchword.server.problems import PayloadTooLarge, UnsupportedMediaType
from watchword.server.responses import JSON
from watchword.server.sign_in_cookie import drop_sign_in_cookie, sign_in_cookies
from watchword.server.token_auth import (
    ACCESS_ERRORS,
    access_token,
    authenticate_owner,
)


class LoggedOut(msgspec.Struct, frozen=True):
    message: str = "Logged out successfully"


class Revoked(msgspec.Struct, frozen=True):
    """How many sessions were alive until now."""

    revoked: int


async def logout(request: Request) -> Response:
    body = await read_body(request)
    headers: list[tuple[bytes, bytes]] = []
    if body:
        ending = {await _of_body(request, parse_json(request, body, BODY))}
    else:
        ending, headers = await _without_body(request)
    for session_id in filter(None, ending):
        await engine_of(request).sessions.end_one(
            session_id, EndReason.LOGOUT, by=by_user(request)
        )
    return JSON(LoggedOut(), headers=headers)


LOGOUT = Operation(
    method="POST",
    path=f"{BASE}/logout",
    handler=logout,
    summary="6. Log out",
    description=(
        "Ends the session of any of its refresh tokens, spent and expired ones too; "
        "without a body, that of the bearer token or of the session's cookie (with the "
        "header X-Requested-With). 200 for a token that is unknown, too: it has no "
        "session to end. A client that names itself (`clientId`, a confidential one by "
        "Authorization: Basic) ends sessions of its own alone."
    ),
    request=Refresh | RefreshToken,
    request_required=False,
    example={"refreshToken": "ww_rt_…"},
    response=LoggedOut,
    bearer=True,
    cookie=True,
    client=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.UnauthorizedClient,
        errors.RefreshInvalid,
        errors.TokenInvalid,
        errors.CsrfRejected,
        PayloadTooLarge,
        UnsupportedMediaType,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


async def _of_body(request: Request, body: Refresh | str) -> bytes | None:
    """The session of the refresh token in the body; None if there is none.

    A request that names no client may end the session of any client.
    """
    sent = refresh_in(body)
    client = await native_client(request, sent.client_id)
    session = await engine_of(request).sessions.session_of(sent.refresh_token)
    if session is None:
        return None
    if client.id not in (FIRST_PARTY.id, session.client_id):
        raise RefreshInvalid  # as /oauth/revoke does
    return session.id


async def _without_body(
    request: Request,
) -> tuple[set[bytes | None], list[tuple[bytes, bytes]]]:
    """The sessions of access token and cookies, and the headers that delete cookies.

    `Clear-Site-Data` wipes the cookie of the pages too: that sign-in must not live on
    unseen.

    Raises CsrfRejected, InvalidRequest, TokenInvalid.
    """
    cookie = token_in_cookie(request)
    meant = is_by_cookie(request)
    ending = {_of_access_token(request, needed=not meant)}
    if cookie is None:
        return ending, []
    session_id = await _session_of(request, cookie)
    # A page that keeps its tokens in memory may not know of a cookie that another page
    # has: it does not end that session, unless the cookie is of the same session.
    if not meant and (session_id is None or session_id not in ending):
        return ending, []
    headers = [
        (b"set-cookie", drop_cookie().encode()),
        (b"clear-site-data", CLEAR_SITE_DATA.encode()),
    ]
    pages = [await _session_of(request, one) for one in sign_in_cookies(request)]
    if pages:  # not every browser obeys Clear-Site-Data
        headers.append((b"set-cookie", drop_sign_in_cookie(request).encode()))
    return {*ending, session_id, *pages}, headers


def _of_access_token(request: Request, *, needed: bool) -> bytes | None:
    """The session of the access token. If it is not `needed`, it may be missing.

    Raises InvalidRequest or TokenInvalid where it is needed and missing or wrong.
    """
    token = access_token(request)
    if token is None:
        if needed:
            message = "Send the refresh token, Authorization: Bearer or the cookie."
            raise InvalidRequest(message)
        return None
    try:
        # Only the signature is checked: an expired token may end its session too.
        claims = engine_of(request).checker.verify_signature(token)
    except TokenInvalid:
        if needed:
            raise
        return None
    return from_text(claims.sid or "")


async def _session_of(request: Request, token: str) -> bytes | None:
    session = await engine_of(request).sessions.session_of(token)
    return None if session is None else session.id


async def logout_all(request: Request) -> Response:
    account_id, _ = await authenticate_owner(request)
    count = await engine_of(request).sessions.end_all(
        account_id, EndReason.LOGOUT_EVERYWHERE, by=by_user(request)
    )
    return JSON(Revoked(count))


LOGOUT_ALL = Operation(
    method="POST",
    path=f"{BASE}/logout-all",
    handler=logout_all,
    summary="Log out everywhere",
    response=Revoked,
    bearer=True,
    errors=(*ACCESS_ERRORS, errors.InsufficientScope),
)
