"""POST /step-up: a new proof of the user of a session, without another sign-in."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.factors.proof import FactorProof, Method
from watchword.server.factor_fields import (
    ChallengeField,
    CodeField,
    CredentialField,
    signed,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of, parse_json, read_body
from watchword.server.presenting import (
    ROTATION_ERRORS,
    presented,
    rotated,
    token_in,
)
from watchword.server.responses import Tokens


class _Session(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="method"
):
    """`refreshToken` is left out where the session's cookie comes with the request."""

    refresh_token: str | None = None


class StepUpByPassword(_Session, frozen=True, kw_only=True, tag="password"):
    """The password. An app with users of its own asks for the `username` too."""

    password: str
    username: str = ""


class StepUpByTotp(_Session, frozen=True, kw_only=True, tag="totp"):
    """A code of an authenticator app. It works once."""

    code: CodeField


class StepUpByRecoveryCode(_Session, frozen=True, kw_only=True, tag="recovery_code"):
    """A recovery code. It works once; case, spaces and hyphens do not matter."""

    code: CodeField


class StepUpByPasskey(_Session, frozen=True, kw_only=True, tag="passkey"):
    """What a passkey signed for the challenge of `/login/passkey/options`."""

    challenge: ChallengeField
    credential: CredentialField


_ByFactor = StepUpByTotp | StepUpByRecoveryCode | StepUpByPasskey
_StepUp = StepUpByPassword | _ByFactor
_BODY: msgspec.json.Decoder[_StepUp] = msgspec.json.Decoder(_StepUp)


async def step_up(request: Request) -> Response:
    proving = engine_of(request).second_factors.step_up
    body = parse_json(request, await read_body(request), _BODY)
    token, cookie = token_in(request, body.refresh_token)
    came = presented(request, FIRST_PARTY, cookie=cookie)
    if isinstance(body, StepUpByPassword):
        tokens = await proving.by_password(
            token, body.password, username=body.username, **came
        )
    else:
        tokens = await proving.by_factor(token, _proof_in(body), **came)
    return rotated(tokens, token, cookie=cookie)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/step-up",
    handler=step_up,
    tag="factors",
    summary="Prove the user again",
    description=(
        "For a call that answered `insufficient_user_authentication`: spends the "
        "refresh token as /refresh does, and `auth_time` of the new access token is "
        "now; with a second factor `acr` is `aal2`. A wrong proof spends nothing. Only "
        "for sessions of first-party."
    ),
    request=_StepUp,
    example={
        "refreshToken": "ww_rt_…",
        "method": "password",
        "password": "four words make a phrase",
    },
    response=Tokens,
    cookie=True,
    dpop=True,
    retry_key=True,
    errors=(
        *ROTATION_ERRORS,
        errors.NotFound,
        errors.InvalidCredentials,
        errors.SecondFactorInvalid,
        errors.ContinuationExpired,
    ),
)


def _proof_in(body: _ByFactor) -> FactorProof:
    match body:
        case StepUpByTotp():
            return FactorProof(method=Method.TOTP, code=body.code)
        case StepUpByRecoveryCode():
            return FactorProof(method=Method.RECOVERY_CODE, code=body.code)
        case StepUpByPasskey():
            return signed(body.challenge, body.credential)
