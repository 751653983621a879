"""POST /oauth/introspect: whether a token works now (RFC 7662, signed: RFC 9701)."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import Right
from watchword.core.access_token import Confirmation
from watchword.core.refresh_token import PREFIX
from watchword.core.session import as_text
from watchword.errors import AccessTokenError, NotFound, UnauthorizedClient
from watchword.ports.clients import Client
from watchword.server.client_auth import authenticate_client
from watchword.server.endpoints.oauth.revoke import TokenForm
from watchword.server.operation import Operation
from watchword.server.parsing import FORM, engine_of, one_header, read_form
from watchword.server.problems import ErrorFormat, PayloadTooLarge
from watchword.server.responses import JSON, PRAGMA

SIGNED: Final = "token-introspection+jwt"
_INACTIVE: Final[dict[str, Any]] = {"active": False}


class Introspection(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 7662 §2.2. A token that is worth nothing here is only `active: false`."""

    active: bool
    token_type: str | None = None
    scope: str | None = None
    client_id: str | None = None
    username: str | None = None
    sub: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    exp: int | None = None
    iat: int | None = None
    jti: str | None = None
    sid: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    cnf: Confirmation | None = None
    roles: tuple[str, ...] = ()


async def introspect(request: Request) -> Response:
    form = await read_form(request)
    token = form.need("token")
    client = await authenticate_client(request, form)
    if Right.INTROSPECT not in client.rights:
        raise UnauthorizedClient
    look = _refresh_token if token.startswith(PREFIX) else _access_token
    found = await look(request, token, client)
    if not _wants_signed(request):
        return JSON(found, headers=[PRAGMA])
    engine = engine_of(request)
    signed = engine.keys.active.sign_as(
        SIGNED,
        {
            "iss": engine.issuer,
            "aud": client.id,
            "iat": engine.clock() // 1000,
            "token_introspection": found,
        },
    )
    return Response(
        signed,
        headers={"cache-control": "no-store"},
        media_type=f"application/{SIGNED}",
    )


OPERATION = Operation(
    method="POST",
    path="/oauth/introspect",
    handler=introspect,
    error_format=ErrorFormat.OAUTH,
    summary="Is this token good?",
    description=(
        "For confidential clients with the right `introspect`. An access token is "
        "active where it is meant for the asking client's audience, and one that is "
        "bound to a key where that client checks DPoP; a refresh token for its own "
        "client alone. With `Accept: application/" + SIGNED + "` the answer is signed "
        "(RFC 9701)."
    ),
    tag="oauth",
    request=TokenForm,
    request_media_type=FORM,
    example={"token": "eyJ…", "client_id": "orders-api", "client_secret": "ww_cs_…"},
    response=Introspection,
    client=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.UnauthorizedClient,
        PayloadTooLarge,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


def _wants_signed(request: Request) -> bool:
    accepted = one_header(request, b"accept") or b""
    wanted = f"application/{SIGNED}".encode()
    for part in accepted.lower().replace(b" ", b"").split(b","):
        kind, _, parameters = part.partition(b";")
        if kind == wanted:  # a weight of 0 means "not acceptable" (RFC 9110 §12.4.2)
            return re.fullmatch(rb"q=0(\.0*)?", parameters) is None
    return False


async def _access_token(request: Request, token: str, client: Client) -> dict[str, Any]:
    """The claims of an access token, if it is for the API that asks; else not active.

    A token that is bound to a key is active only for an API that checks proofs: any
    other would accept the token without a proof of its key.
    """
    engine = engine_of(request)
    audiences = client.audience or (engine.settings.audience,)
    try:
        claims = engine.checker.verify_for(token, audiences)
    except AccessTokenError:
        return _INACTIVE
    # A user's token ends with its session. A client's own token has no session: it ends
    # when the client is disabled.
    if claims.sid is None and not await engine.clients.is_enabled(claims.client_id):
        return _INACTIVE
    if claims.cnf is not None and not client.checks_dpop:
        return _INACTIVE
    found = msgspec.to_builtins(claims)
    return {
        **found.pop("extra", {}),  # on the top level, as in the token itself
        "active": True,
        "token_type": "Bearer" if claims.cnf is None else "DPoP",
        **found,
        **await _username(request, claims.sub),
    }


async def _username(request: Request, subject: str) -> dict[str, str]:
    """The `username` of an account; none for a client or a user that the app keeps."""
    try:
        account = await engine_of(request).accounts.get_by_subject(subject)
    except NotFound:
        return {}
    return {"username": account.name}


async def _refresh_token(
    request: Request, token: str, client: Client
) -> dict[str, Any]:
    engine = engine_of(request)
    session = await engine.sessions.session_of(token)
    if session is None or session.client_id != client.id:
        return _INACTIVE
    if not engine.sessions.is_current(session, token):
        return _INACTIVE
    subject = as_text(session.account_id)
    found = {
        "active": True,
        "client_id": session.client_id,
        **await _username(request, subject),
        "sub": subject,
        "iss": engine.issuer,
        # Whole seconds, rounded so that a token which works now has not expired yet.
        "exp": max(engine.sessions.ends_at(session), engine.clock() + 1000) // 1000,
        "iat": session.rotated_at // 1000,
        "sid": as_text(session.id),
    }
    if session.scope:
        found["scope"] = " ".join(session.scope)
    return found
