"""POST /factors/passkeys/options and /factors/passkeys: a passkey more."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.factors.passkeys import PasskeyOptions
from watchword.server.factor_fields import (
    ChallengeField,
    CredentialField,
    FactorNameField,
    TokensAndFactor,
    name_for,
    passkeys_of,
    shown,
    tokens_with,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of, parse_json, read_body
from watchword.server.presenting import (
    ROTATION_ERRORS,
    presented,
    rotated,
    token_in,
)
from watchword.server.responses import JSON
from watchword.server.token_auth import NEEDS_RECENT, RECENT_ERRORS, recent


class AddPasskey(msgspec.Struct, frozen=True, rename="camel"):
    """What the new passkey answered, and how its user calls it.

    `refreshToken` is left out where the session's cookie comes with the request.
    """

    challenge: ChallengeField
    credential: CredentialField
    name: FactorNameField = ""
    refresh_token: str | None = None


_ADD = msgspec.json.Decoder(AddPasskey)


async def options(request: Request) -> Response:
    passkeys = passkeys_of(request)
    account_id, sid, _ = await recent(request)
    name = await name_for(request, account_id)
    return JSON(await passkeys.options_to_register(account_id, name, bound=sid))


OPTIONS = Operation(
    method="POST",
    path=f"{BASE}/factors/passkeys/options",
    handler=options,
    tag="factors",
    summary="Add a passkey: what to ask the browser with",
    description=(
        "`publicKey` is for `navigator.credentials.create`, after "
        "`PublicKeyCredential.parseCreationOptionsFromJSON`. 404 where passkeys are "
        f"off. {NEEDS_RECENT}"
    ),
    response=PasskeyOptions,
    bearer=True,
    errors=RECENT_ERRORS,
)


async def add(request: Request) -> Response:
    passkeys_of(request)
    step_up = engine_of(request).second_factors.step_up
    body = parse_json(request, await read_body(request), _ADD)
    token, cookie = token_in(request, body.refresh_token)
    tokens, row, codes = await step_up.add_passkey(
        token,
        body.challenge,
        body.credential,
        body.name,
        **presented(request, FIRST_PARTY, cookie=cookie),
    )
    told = TokensAndFactor(
        **msgspec.structs.asdict(tokens_with(tokens, codes)),
        factor=shown(request, row),
    )
    return rotated(tokens, token, cookie=cookie, shown=told, status=201)


ADD = Operation(
    method="POST",
    path=f"{BASE}/factors/passkeys",
    handler=add,
    tag="factors",
    summary="Add a passkey",
    description=(
        "Rotates the session, and what comes with the tokens, as "
        "/factors/totp/confirm. 404 where passkeys are off."
    ),
    request=AddPasskey,
    example={
        "challenge": "ww_wc_…",
        "credential": {"type": "public-key"},
        "name": "Phone",
        "refreshToken": "ww_rt_…",
    },
    response=TokensAndFactor,
    status=201,
    cookie=True,
    dpop=True,
    retry_key=True,
    errors=(
        *ROTATION_ERRORS,
        errors.NotFound,
        errors.SecondFactorInvalid,
        errors.ContinuationExpired,
        errors.InsufficientAuthentication,
    ),
)
