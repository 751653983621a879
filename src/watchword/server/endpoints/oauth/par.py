"""POST /oauth/par: a client leaves its request here, ahead of its user (RFC 9126)."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.client_auth import authenticate_client, key_shown_by
from watchword.server.operation import Operation
from watchword.server.parsing import FORM, form_of, oauth_of, read_pairs
from watchword.server.problems import ErrorFormat, PayloadTooLarge
from watchword.server.responses import JSON, PRAGMA


class PushedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of RFC 6749 §4.1.1 and of its extensions; others are ignored.

    With them comes what authenticates the client. `resource` may be repeated.
    """

    client_id: str
    client_secret: str = ""
    redirect_uri: str = ""
    response_type: str = ""
    scope: str = ""
    state: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    nonce: str = ""
    resource: str = ""
    prompt: str = ""
    max_age: str = ""
    acr_values: str = ""
    login_hint: str = ""
    ui_locales: str = ""
    id_token_hint: str = ""
    dpop_jkt: str = ""
    response_mode: str = ""


class Pushed(msgspec.Struct, frozen=True):
    """RFC 9126 §2.2. `expires_in` is in seconds: for so long it waits."""

    request_uri: str
    expires_in: int


async def push(request: Request) -> Response:
    server = oauth_of(request).authorization
    pairs = await read_pairs(request)
    client = await authenticate_client(request, form_of(pairs))
    # Any caller can name a public client, so the proof is not recorded as used. Sent
    # again, it makes a request for a key that its sender does not have.
    found = await server.push(pairs, client, jkt=key_shown_by(request, client))
    return JSON(Pushed(*found), status_code=201, headers=[PRAGMA])


OPERATION: Final = Operation(
    method="POST",
    path="/oauth/par",
    handler=push,
    error_format=ErrorFormat.OAUTH,
    summary="Push an authorization request",
    description=(
        "Takes the parameters of `/oauth/authorize` ahead of the browser, which then "
        "brings `client_id` and `request_uri` alone (RFC 9126). A client that was made "
        "with `--par` has to send its requests so. With a DPoP proof, or `dpop_jkt`, "
        "the code is bound to that key."
    ),
    tag="oauth",
    request=PushedRequest,
    request_media_type=FORM,
    example={
        "client_id": "grafana",
        "client_secret": "ww_cs_…",
        "response_type": "code",
        "redirect_uri": "https://grafana.example/login/generic_oauth",
        "scope": "openid",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    },
    response=Pushed,
    status=201,
    dpop=True,
    client=True,
    needs_accounts=True,
    errors=(
        errors.InvalidRequest,
        errors.InvalidClient,
        errors.InvalidTarget,
        errors.UnauthorizedClient,
        errors.UnsupportedResponseType,
        errors.RequestNotSupported,
        errors.InvalidProof,
        errors.NonceNeeded,
        PayloadTooLarge,
        errors.Throttled,
        errors.Overloaded,
        errors.StoreUnavailable,
    ),
)
