"""POST /oauth/token: tokens for clients that speak OAuth (RFC 6749 §4.4, §6)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import GrantType
from watchword.errors import UnauthorizedClient, UnsupportedGrantType
from watchword.ports.clients import Client
from watchword.server.client_auth import authenticate_client, key_proved_for, proof_of
from watchword.server.operation import Operation
from watchword.server.parsing import (
    FORM,
    Form,
    client_address,
    engine_of,
    read_form,
    retry_key,
)
from watchword.server.problems import ErrorFormat, PayloadTooLarge
from watchword.server.responses import JSON, PRAGMA, Scheme


class TokenRequest(msgspec.Struct, frozen=True):
    """The form. A public client sends `client_id`, a confidential one its secret too.

    `scope` and `resource` (RFC 8707) may ask for less than the session has. Empty
    parameters count as omitted.
    """

    grant_type: Annotated[
        str, msgspec.Meta(extra_json_schema={"enum": list(GrantType)})
    ]
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    scope: str = ""
    resource: str = ""


class OAuthTokens(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1. `expires_in` is seconds from now."""

    access_token: str
    token_type: Scheme
    expires_in: int
    refresh_token: str | msgspec.UnsetType = msgspec.UNSET
    scope: str | msgspec.UnsetType = msgspec.UNSET


async def token(request: Request) -> Response:
    form = await read_form(request)
    grant_type = form.need("grant_type")
    if grant_type not in list(GrantType):
        raise UnsupportedGrantType
    client = await authenticate_client(request, form)
    if grant_type not in client.grants:
        raise UnauthorizedClient
    by = _refresh if grant_type == GrantType.REFRESH_TOKEN else _client_credentials
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
        "`refresh_token` is the refresh of step 4 in the form of RFC 6749, with the "
        "same Idempotency-Key; `client_credentials` gives a client a token of its own."
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


async def _refresh(request: Request, form: Form, client: Client) -> OAuthTokens:
    issued = await engine_of(request).sessions.refresh(
        form.need("refresh_token"),
        client_id=client.id,
        retry_key=retry_key(request),
        address=client_address(request),
        requested=form.requested(None),
        proof=proof_of(request, client),
    )
    return OAuthTokens(
        issued.access_token,
        "DPoP" if issued.bound else "Bearer",
        issued.expires_in,
        issued.refresh_token,
        " ".join(issued.scope) or msgspec.UNSET,
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
