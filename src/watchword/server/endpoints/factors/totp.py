"""POST /factors/totp and /factors/totp/confirm: an authenticator app more."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.clients.rules import FIRST_PARTY
from watchword.factors.totp import PendingTotp
from watchword.server.factor_fields import (
    CodeField,
    PendingField,
    TokensAndCodes,
    name_for,
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


class ConfirmTotp(msgspec.Struct, frozen=True, rename="camel"):
    """The pending authenticator app, and a code of it.

    `refreshToken` is left out where the session's cookie comes with the request.
    """

    factor: PendingField
    code: CodeField
    refresh_token: str | None = None


_CONFIRM = msgspec.json.Decoder(ConfirmTotp)


async def begin(request: Request) -> Response:
    account_id, *_ = await recent(request)
    name = await name_for(request, account_id)
    return JSON(engine_of(request).second_factors.totp.begin(account_id, name))


BEGIN = Operation(
    method="POST",
    path=f"{BASE}/factors/totp",
    handler=begin,
    tag="factors",
    summary="Add an authenticator app",
    description=(
        "Nothing is kept until a code comes to /factors/totp/confirm, within ten "
        f"minutes. {NEEDS_RECENT}"
    ),
    response=PendingTotp,
    bearer=True,
    errors=RECENT_ERRORS,
)


async def confirm(request: Request) -> Response:
    step_up = engine_of(request).second_factors.step_up
    body = parse_json(request, await read_body(request), _CONFIRM)
    token, cookie = token_in(request, body.refresh_token)
    tokens, codes = await step_up.add_totp(
        token,
        body.factor,
        body.code,
        **presented(request, FIRST_PARTY, cookie=cookie),
    )
    shown = tokens_with(tokens, codes)
    return rotated(tokens, token, cookie=cookie, shown=shown)


CONFIRM = Operation(
    method="POST",
    path=f"{BASE}/factors/totp/confirm",
    handler=confirm,
    tag="factors",
    summary="Confirm an authenticator app",
    description=(
        "Spends the refresh token as /refresh does; the session has `acr` `aal2` from "
        "now on, and the user's other sessions without that end. With the first "
        "factor come ten recovery codes, shown this once: a retry with the same "
        "Idempotency-Key has the tokens alone."
    ),
    request=ConfirmTotp,
    example={"factor": "ww_tf_…", "code": "123456", "refreshToken": "ww_rt_…"},
    response=TokensAndCodes,
    cookie=True,
    dpop=True,
    retry_key=True,
    errors=(
        *ROTATION_ERRORS,
        errors.SecondFactorInvalid,
        errors.ContinuationExpired,
        errors.InsufficientAuthentication,
    ),
)
