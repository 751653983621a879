"""POST /login/passkey/options and /login/passkey: a passkey, alone or as a factor."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.core.session import from_text
from watchword.errors import NotFound, TokenRevoked
from watchword.factors.passkeys import PasskeyOptions
from watchword.server.beginning import BEGINNING_ERRORS, SessionFields, SessionRequest
from watchword.server.continuing import (
    CONTINUING_ERRORS,
    ContinuationField,
    ContinuationRequest,
)
from watchword.server.factor_fields import ChallengeField, CredentialField, passkeys_of
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import client_address, engine_of, parse_json, read_body
from watchword.server.responses import JSON, Tokens
from watchword.server.token_auth import OWNER_ERRORS, access_token, authenticate_owner
from watchword.sign_in.passkey import PasskeySignIn


class AskPasskey(msgspec.Struct, frozen=True, rename="camel"):
    """The sign-in or reset that the passkey is to go on with, and its client."""

    continuation: ContinuationField | None = None
    client_id: str = FIRST_PARTY.id


class PasskeyLogin(SessionFields, frozen=True):
    """What a passkey signed, and how the session shall be: as of a login."""

    challenge: ChallengeField
    credential: CredentialField


_ASK = msgspec.json.Decoder(AskPasskey)
_LOGIN = msgspec.json.Decoder(PasskeyLogin)


async def options(request: Request) -> Response:
    passkeys_of(request)
    body = parse_json(request, await read_body(request), _ASK)
    return JSON(await _options(request, body))


OPTIONS = Operation(
    method="POST",
    path=f"{BASE}/login/passkey/options",
    handler=options,
    summary="What to ask a passkey with",
    description=(
        "`publicKey` is for `navigator.credentials.get`, after "
        "`PublicKeyCredential.parseRequestOptionsFromJSON`. With `{}` any passkey may "
        "answer at /login/passkey; with a continuation one of its user; with an access "
        "token of first-party one of the session's user, at /step-up. 404 where "
        "passkeys are off."
    ),
    request=AskPasskey,
    example={},
    response=PasskeyOptions,
    bearer=True,
    dpop=True,
    client=True,
    errors=(*dict.fromkeys((*CONTINUING_ERRORS, *OWNER_ERRORS)),),
)


async def _options(request: Request, body: AskPasskey) -> PasskeyOptions:
    factors = engine_of(request).second_factors
    if body.continuation is not None:
        going_on = await ContinuationRequest.of(request, body.client_id)
        return await factors.second_step.passkey_options(
            body.continuation, binding=going_on.binding
        )
    if access_token(request) is None:
        return await _sign_in(request).options()
    _, sid = await authenticate_owner(request)
    session = await engine_of(request).sessions.get(from_text(sid) or b"")
    if session is None:
        raise TokenRevoked
    return await factors.step_up.passkey_options(session)


async def login(request: Request) -> Response:
    sign_in = _sign_in(request)
    body = parse_json(request, await read_body(request), _LOGIN)
    session = await SessionRequest.of(request, body)
    authenticated = await sign_in.authenticate(
        body.challenge, body.credential, address=client_address(request)
    )
    return await session.begin(authenticated, status=200)


LOGIN = Operation(
    method="POST",
    path=f"{BASE}/login/passkey",
    handler=login,
    summary="Sign in with a passkey",
    description=(
        "A passkey whose user was verified is two factors: the session has `acr` "
        "`aal2`. 404 where passkeys are off."
    ),
    request=PasskeyLogin,
    example={"challenge": "ww_wc_…", "credential": {"type": "public-key"}},
    response=Tokens,
    dpop=True,
    client=True,
    errors=(
        *BEGINNING_ERRORS,
        errors.SecondFactorInvalid,
        errors.ContinuationExpired,
        errors.NotFound,
    ),
)


def _sign_in(request: Request) -> PasskeySignIn:
    """Raises NotFound where passkeys are off."""
    found = engine_of(request).second_factors.passkey_sign_in
    if found is None:
        raise NotFound
    return found
