"""POST /password/forgot, /password/reset and /password/change."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.errors import InvalidRequest
from watchword.factors.proof import FactorProof, Method
from watchword.server.continuing import ContinuationField
from watchword.server.cookies import CLEAR_SITE_DATA, drop_cookie
from watchword.server.endpoints.account.fields import (
    EmailField,
    OnItsWay,
    TokenField,
    need_mail,
)
from watchword.server.factor_fields import ChallengeField, CodeField, CredentialField
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    BODY_ERRORS,
    client_address,
    engine_of,
    parse_json,
    read_body,
    self_service_of,
)
from watchword.server.presenting import (
    ROTATION_ERRORS,
    presented,
    rotated,
    token_in,
)
from watchword.server.responses import JSON, Tokens, done


class Forgot(msgspec.Struct, frozen=True):
    """The address of an account with a forgotten password."""

    email: EmailField


class Reset(msgspec.Struct, frozen=True):
    """The token of the mail, and the new password.

    An account with a second factor proves it too: the same again with `continuation`
    and `method`, and `code`, or for a passkey `challenge` and `credential`.
    """

    token: TokenField
    password: str
    continuation: ContinuationField = ""
    method: Method | None = None
    code: CodeField = ""
    challenge: ChallengeField = ""
    credential: CredentialField = {}


class ChangePassword(msgspec.Struct, frozen=True, rename="camel"):
    """The password so far, and the new one.

    `refreshToken` is left out where the session's cookie comes with the request. With
    `keepSession` false this session ends as the others do.
    """

    current_password: str
    password: str
    refresh_token: str | None = None
    keep_session: bool = True


_FORGOT = msgspec.json.Decoder(Forgot)
_RESET = msgspec.json.Decoder(Reset)
_CHANGE = msgspec.json.Decoder(ChangePassword)


async def forgot(request: Request) -> Response:
    need_mail(request)
    recovery = self_service_of(request).recovery
    body = parse_json(request, await read_body(request), _FORGOT)
    await recovery.ask(body.email, address=client_address(request))
    return JSON(OnItsWay(), 202)


FORGOT = Operation(
    method="POST",
    path=f"{BASE}/password/forgot",
    handler=forgot,
    needs_accounts=True,
    tag="account",
    summary="Forgot the password",
    description=(
        "Mails a token to the address if an account has confirmed it. The answer is "
        "the same for every address. 404 where no mail can be sent."
    ),
    request=Forgot,
    example={"email": "ann@example.org"},
    response=OnItsWay,
    status=202,
    errors=(*BODY_ERRORS, errors.EmailInvalid),
)


async def reset(request: Request) -> Response:
    recovery = self_service_of(request).recovery
    body = parse_json(request, await read_body(request), _RESET)
    if bool(body.continuation) != (body.method is not None):
        raise InvalidRequest("Send both continuation and method, or neither.")
    await recovery.reset(
        body.token,
        body.password,
        address=client_address(request),
        continuation=body.continuation,
        proof=_proof_in(body),
    )
    return done()


def _proof_in(body: Reset) -> FactorProof | None:
    if body.method is None:
        return None
    return FactorProof(
        method=body.method,
        code=body.code,
        challenge=body.challenge,
        credential=body.credential,
    )


RESET = Operation(
    method="POST",
    path=f"{BASE}/password/reset",
    handler=reset,
    needs_accounts=True,
    tag="account",
    summary="Reset the password",
    description=(
        "Sets the password by the token of the mail, and ends all sessions of the "
        "account. It begins no session. For an account with a second factor it "
        "answers `second_factor_required`, and nothing is spent: send it again with "
        "the continuation and the factor."
    ),
    request=Reset,
    example={"token": "ww_cf_…", "password": "five other words make one"},
    status=204,
    errors=(
        *BODY_ERRORS,
        errors.ConfirmationInvalid,
        errors.PasswordRejected,
        errors.SecondFactorRequired,
        errors.SecondFactorInvalid,
        errors.ContinuationExpired,
    ),
)


async def change(request: Request) -> Response:
    self_service_of(request)
    step_up = engine_of(request).second_factors.step_up
    body = parse_json(request, await read_body(request), _CHANGE)
    token, cookie = token_in(request, body.refresh_token)
    tokens = await step_up.change_password(
        token,
        body.current_password,
        body.password,
        keep_session=body.keep_session,
        **presented(request, FIRST_PARTY, cookie=cookie),
    )
    if tokens is not None:
        return rotated(tokens, token, cookie=cookie)
    response = done()
    if cookie:
        response.headers["set-cookie"] = drop_cookie()
        response.headers["clear-site-data"] = CLEAR_SITE_DATA
    return response


CHANGE = Operation(
    method="POST",
    path=f"{BASE}/password/change",
    handler=change,
    needs_accounts=True,
    tag="account",
    summary="Change the password",
    description=(
        "Spends the refresh token as /refresh does, and ends all other sessions. "
        "Without `refreshToken` the session's cookie has to come (and the header "
        "X-Requested-With). Only for sessions of first-party."
    ),
    request=ChangePassword,
    example={
        "refreshToken": "ww_rt_…",
        "currentPassword": "four words make a phrase",
        "password": "five other words make one",
    },
    response=Tokens,
    other_answers={204: "Done, and this session has ended too: `keepSession` false."},
    cookie=True,
    dpop=True,
    retry_key=True,
    errors=(
        *ROTATION_ERRORS,
        errors.NotFound,
        errors.InvalidCredentials,
        errors.InsufficientAuthentication,
        errors.PasswordRejected,
    ),
)
