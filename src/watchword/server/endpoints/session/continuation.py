"""POST /login/continue: the second factor of a sign-in, and then its session."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.factors.proof import FactorProof, Method
from watchword.server.continuing import (
    FINISHING_ERRORS,
    ContinuationFields,
    ContinuationRequest,
)
from watchword.server.factor_fields import (
    ChallengeField,
    CodeField,
    CredentialField,
    signed,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import engine_of, parse_json, read_body
from watchword.server.responses import Tokens


class ContinueByTotp(
    ContinuationFields, frozen=True, kw_only=True, tag_field="method", tag="totp"
):
    """A code of an authenticator app. It works once."""

    code: CodeField


class ContinueByRecoveryCode(
    ContinuationFields,
    frozen=True,
    kw_only=True,
    tag_field="method",
    tag="recovery_code",
):
    """A recovery code. It works once; case, spaces and hyphens do not matter."""

    code: CodeField


class ContinueByPasskey(
    ContinuationFields, frozen=True, kw_only=True, tag_field="method", tag="passkey"
):
    """What a passkey signed for the challenge of `/login/passkey/options`."""

    challenge: ChallengeField
    credential: CredentialField


_Continue = ContinueByTotp | ContinueByRecoveryCode | ContinueByPasskey
_BODY: msgspec.json.Decoder[_Continue] = msgspec.json.Decoder(_Continue)


async def go_on(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _BODY)
    going_on = await ContinuationRequest.of(request, body.client_id)
    tokens = await engine_of(request).second_factors.second_step.finish(
        body.continuation,
        _proof_in(body),
        binding=going_on.binding,
        **going_on.details(),
    )
    return going_on.answer(tokens)


OPERATION = Operation(
    method="POST",
    path=f"{BASE}/login/continue",
    handler=go_on,
    summary="Sign in: the second factor",
    description=(
        "For a sign-in that answered `second_factor_required`. A wrong factor spends "
        "nothing: the same continuation may be used again until it runs out. The "
        "client authenticates, and sends a DPoP proof of the same key, as at the "
        "beginning; a browser that asked for a cookie sends the one that came with the "
        "continuation."
    ),
    request=_Continue,
    example={"continuation": "ww_ct_…", "method": "totp", "code": "123456"},
    response=Tokens,
    dpop=True,
    client=True,
    errors=FINISHING_ERRORS,
)


def _proof_in(body: _Continue) -> FactorProof:
    match body:
        case ContinueByTotp():
            return FactorProof(method=Method.TOTP, code=body.code)
        case ContinueByRecoveryCode():
            return FactorProof(method=Method.RECOVERY_CODE, code=body.code)
        case ContinueByPasskey():
            return signed(body.challenge, body.credential)
