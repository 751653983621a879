"""POST /login/enrol and below: the first factor of a sign-in that needs one."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.factors.passkeys import PasskeyOptions
from watchword.factors.totp import PendingTotp
from watchword.server.continuing import (
    CONTINUING_ERRORS,
    FINISHING_ERRORS,
    ContinuationFields,
    ContinuationRequest,
)
from watchword.server.factor_fields import (
    ChallengeField,
    CodeField,
    CredentialField,
    EnrolTokenField,
    FactorNameField,
    PendingField,
    TokensAndCodes,
    passkeys_of,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import client_address, engine_of, parse_json, read_body
from watchword.server.responses import JSON
from watchword.sign_in.enrolment import Enrolment

_PATH = f"{BASE}/login/enrol"


class AskToEnrol(ContinuationFields, frozen=True):
    """The sign-in that needs a factor, and its client."""


class EnrolmentAsked(msgspec.Struct, frozen=True):
    """The same whether or not the account has an address."""

    message: str = "If the account has a confirmed address, a message is on its way."


class BeginEnrolment(ContinuationFields, frozen=True):
    """The continuation, and the token of the mail or of an operator.

    No `token` is needed right after a registration or an invitation.
    """

    token: EnrolTokenField = ""


class EnrolTotp(ContinuationFields, frozen=True):
    """The pending authenticator app, and a code of it."""

    factor: PendingField
    code: CodeField


class EnrolPasskey(ContinuationFields, frozen=True):
    """What the new passkey answered, and how its user calls it."""

    challenge: ChallengeField
    credential: CredentialField
    name: FactorNameField = ""


_ASK = msgspec.json.Decoder(AskToEnrol)
_BEGIN = msgspec.json.Decoder(BeginEnrolment)
_TOTP = msgspec.json.Decoder(EnrolTotp)
_PASSKEY = msgspec.json.Decoder(EnrolPasskey)


def _enrolment(request: Request) -> Enrolment:
    return engine_of(request).second_factors.enrolment


async def ask(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _ASK)
    going_on = await ContinuationRequest.of(request, body.client_id)
    await _enrolment(request).ask(
        body.continuation, binding=going_on.binding, address=client_address(request)
    )
    return JSON(EnrolmentAsked(), 202)


ASK = Operation(
    method="POST",
    path=_PATH,
    handler=ask,
    summary="Enrol a first factor: ask for the mail",
    description=(
        "For a sign-in that answered `second_factor_enrolment_required`. Mails a token "
        "to the confirmed address: a password alone enrols nothing. The answer is the "
        "same where there is no address; then an operator gives the token."
    ),
    request=AskToEnrol,
    example={"continuation": "ww_ct_…"},
    response=EnrolmentAsked,
    status=202,
    dpop=True,
    client=True,
    errors=CONTINUING_ERRORS,
)


async def begin_totp(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _BEGIN)
    going_on = await ContinuationRequest.of(request, body.client_id)
    pending = await _enrolment(request).begin_totp(
        body.continuation,
        body.token,
        binding=going_on.binding,
        address=client_address(request),
    )
    return JSON(pending)


BEGIN_TOTP = Operation(
    method="POST",
    path=f"{_PATH}/totp",
    handler=begin_totp,
    summary="Enrol a first factor: an authenticator app",
    description="Nothing is kept until a code comes to /login/enrol/totp/confirm.",
    request=BeginEnrolment,
    example={"continuation": "ww_ct_…", "token": "ww_cf_…"},
    response=PendingTotp,
    dpop=True,
    client=True,
    errors=(*CONTINUING_ERRORS, errors.ConfirmationInvalid),
)


async def confirm_totp(request: Request) -> Response:
    body = parse_json(request, await read_body(request), _TOTP)
    going_on = await ContinuationRequest.of(request, body.client_id)
    tokens, codes = await _enrolment(request).confirm_totp(
        body.continuation,
        body.factor,
        body.code,
        binding=going_on.binding,
        **going_on.details(),
    )
    return going_on.answer(tokens, codes)


CONFIRM_TOTP = Operation(
    method="POST",
    path=f"{_PATH}/totp/confirm",
    handler=confirm_totp,
    summary="Enrol a first factor: its code, and sign in",
    description="With the tokens come ten recovery codes, shown this once.",
    request=EnrolTotp,
    example={"continuation": "ww_ct_…", "factor": "ww_tf_…", "code": "123456"},
    response=TokensAndCodes,
    dpop=True,
    client=True,
    errors=(*FINISHING_ERRORS, errors.ConfirmationInvalid),
)


async def begin_passkey(request: Request) -> Response:
    passkeys_of(request)
    body = parse_json(request, await read_body(request), _BEGIN)
    going_on = await ContinuationRequest.of(request, body.client_id)
    options = await _enrolment(request).begin_passkey(
        body.continuation,
        body.token,
        binding=going_on.binding,
        address=client_address(request),
    )
    return JSON(options)


BEGIN_PASSKEY = Operation(
    method="POST",
    path=f"{_PATH}/passkey/options",
    handler=begin_passkey,
    summary="Enrol a first factor: a passkey",
    description=(
        "`publicKey` is for `navigator.credentials.create`, after "
        "`PublicKeyCredential.parseCreationOptionsFromJSON`. 404 where passkeys are "
        "off."
    ),
    request=BeginEnrolment,
    example={"continuation": "ww_ct_…", "token": "ww_cf_…"},
    response=PasskeyOptions,
    dpop=True,
    client=True,
    errors=(*CONTINUING_ERRORS, errors.ConfirmationInvalid, errors.NotFound),
)


async def confirm_passkey(request: Request) -> Response:
    passkeys_of(request)
    body = parse_json(request, await read_body(request), _PASSKEY)
    going_on = await ContinuationRequest.of(request, body.client_id)
    tokens, codes = await _enrolment(request).confirm_passkey(
        body.continuation,
        body.challenge,
        body.credential,
        body.name,
        binding=going_on.binding,
        **going_on.details(),
    )
    return going_on.answer(tokens, codes)


CONFIRM_PASSKEY = Operation(
    method="POST",
    path=f"{_PATH}/passkey",
    handler=confirm_passkey,
    summary="Enrol a first factor: the passkey, and sign in",
    description="With the tokens come ten recovery codes, shown this once.",
    request=EnrolPasskey,
    example={
        "continuation": "ww_ct_…",
        "challenge": "ww_wc_…",
        "credential": {"type": "public-key"},
    },
    response=TokensAndCodes,
    dpop=True,
    client=True,
    errors=(*FINISHING_ERRORS, errors.ConfirmationInvalid, errors.NotFound),
)
