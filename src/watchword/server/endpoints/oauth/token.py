"""POST /oauth/token: tokens for clients that speak OAuth (RFC 6749 §4.1, §4.4, §6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import GrantType
from watchword.core.scopes import OPENID
from watchword.core.session import TokenSet
from watchword.errors import UnauthorizedClient, UnsupportedGrantType
from watchword.ports.clients import Client
from watchword.server.client_auth import (
    authenticate_client,
    basic_credentials,
    key_proved_for,
    proof_of,
)
from watchword.server.operation import Operation
from watchword.server.parsing import (
    FORM,
    Form,
    client_address,
    engine_of,
    read_form,
    retry_key,
    user_agent,
)
from watchword.server.problems import ErrorFormat, PayloadTooLarge
from watchword.server.responses import JSON, PRAGMA, Scheme


class TokenRequest(msgspec.Struct, frozen=True):
    """The form. A public client sends `client_id`, a confidential one its secret too.

    `scope` and `resource` (RFC 8707) may ask for less than the session has. A code
    comes with the `redirect_uri` that it was sent to and, where it was asked for with a
    challenge, with its `code_verifier` (RFC 7636). Empty parameters count as omitted.
    """

    grant_type: Annotated[
        str, msgspec.Meta(extra_json_schema={"enum": list(GrantType)})
    ]
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    code: str = ""
    redirect_uri: str = ""
    code_verifier: str = ""
    scope: str = ""
    resource: str = ""


class OAuthTokens(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1. `expires_in` is seconds from now.

    `id_token` comes with a code where `openid` was granted, and with a refresh that
    asks for the scope `openid` (OpenID Connect Core §3.1.3.3, §12.2).
    """

    access_token: str
    token_type: Scheme
    expires_in: int
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    scope: str | msgspec.UnsetType = msgspec.UNSET
    id_token: str | msgspec.UnsetType = msgspec.UNSET


_Grant = Callable[[Request, Form, Client], Awaitable[OAuthTokens]]


async def token(request: Request) -> Response:
    form = await read_form(request)
    grant_type = form.need("grant_type")
    by = _GRANTS.get(grant_type)
    if by is None:
        raise UnsupportedGrantType
    client = await authenticate_client(request, form)
    if grant_type not in client.grants:
        raise UnauthorizedClient
    tokens = await by(request, form, client)
    return JSON(tokens, headers=[PRAGMA])


OPERATION = Operation(
    method="POST",
    path="/oauth/token",
    handler=token,
    error_format=ErrorFormat.OAUTH,
    is_hot=True,
    summary="Tokens, by OAuth",
    description=(
        "`authorization_code` makes a session of a code, and answers the same request "
        "again for a minute, by its Idempotency-Key; `refresh_token` is the refresh of "
        "step 4 in the form of RFC 6749, with the same Idempotency-Key; "
        "`client_credentials` gives a client a token of its own."
    ),
    tag="oauth",
    request=TokenRequest,
    request_media_type=FORM,
    example={
        "grant_type": "refresh_token",
        "client_id": "first-party",
        "refresh_token": "ww_rt_…",
    },
    response=OAuthTokens,
    retry_key=True,
    dpop=True,
    client=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.RetryKeyReused,
        errors.RefreshInvalid,
        errors.RefreshReused,
        errors.CodeInvalid,
        errors.CodeReused,
        errors.SessionExpired,
        errors.SessionRevoked,
        errors.InvalidScope,
        errors.InvalidTarget,
        errors.UnauthorizedClient,
        errors.UnsupportedGrantType,
        errors.InvalidProof,
        errors.NonceNeeded,
        PayloadTooLarge,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)


async def _code(request: Request, form: Form, client: Client) -> OAuthTokens:
    oauth = engine_of(request).oauth
    if oauth is None:  # an app with users of its own: no code is ever made
        raise UnsupportedGrantType
    exchanged = await oauth.exchange.redeem(
        form.need("code"),
        client,
        redirect_uri=form.get("redirect_uri") or "",
        code_verifier=form.get("code_verifier") or "",
        client_secret=_secret_in(request, form),
        retry_key=retry_key(request),
        requested=form.requested(None),
        proof=proof_of(request, client),
        address=client_address(request),
        user_agent=user_agent(request),
    )
    return _tokens(exchanged.tokens, client, exchanged.id_token)


def _secret_in(request: Request, form: Form) -> str:
    """The secret that the client has authenticated by; "" of a public client."""
    basic = basic_credentials(request)
    shown = form.get("client_secret") if basic is None else basic[1]
    return shown or ""


async def _refresh(request: Request, form: Form, client: Client) -> OAuthTokens:
    engine = engine_of(request)
    token, requested = form.need("refresh_token"), form.requested(None)
    id_tokens = None
    if engine.oauth is not None and OPENID in (requested.scope or ()):
        session = await engine.sessions.session_of(token)
        # Any caller can ask for it, and a key is not made for any caller.
        if session is not None and OPENID in session.scope:
            id_tokens = engine.oauth.id_tokens
            await id_tokens.prepare(client)
    issued = await engine.sessions.refresh(
        token,
        client_id=client.id,
        retry_key=retry_key(request),
        address=client_address(request),
        requested=requested,
        proof=proof_of(request, client),
    )
    id_token = ""
    if id_tokens is not None:
        id_token = await id_tokens.make(issued.session, client, issued.access_token)
    return _tokens(issued, client, id_token)


def _tokens(issued: TokenSet, client: Client, id_token: str) -> OAuthTokens:
    refreshes = GrantType.REFRESH_TOKEN in client.grants
    return OAuthTokens(
        issued.access_token,
        "DPoP" if issued.bound else "Bearer",
        issued.expires_in,
        issued.refresh_token if refreshes else msgspec.UNSET,
        " ".join(issued.scope) or msgspec.UNSET,
        id_token or msgspec.UNSET,
    )


async def _client_credentials(
    request: Request, form: Form, client: Client
) -> OAuthTokens:
    requested = form.requested(await key_proved_for(request, client))
    issued = engine_of(request).client_tokens.issue(client, requested)
    return OAuthTokens(
        issued.access_token,
        "DPoP" if issued.bound else "Bearer",
        issued.expires_in,
        scope=" ".join(issued.scope) or msgspec.UNSET,
    )


_GRANTS: Final[dict[str, _Grant]] = {
    GrantType.AUTHORIZATION_CODE: _code,
    GrantType.REFRESH_TOKEN: _refresh,
    GrantType.CLIENT_CREDENTIALS: _client_credentials,
}
