"""POST /email/change, /email/confirm and /email/revert: another mail address."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.errors import InvalidRequest
from watchword.server.endpoints.account.fields import (
    EmailField,
    OnItsWay,
    TokenField,
    need_mail,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    BODY_ERRORS,
    by_user,
    client_address,
    parse_json,
    read_body,
    self_service_of,
)
from watchword.server.responses import JSON, done
from watchword.server.token_auth import (
    NEEDS_RECENT,
    OWNER_ERRORS,
    RECENT_ERRORS,
    access_token,
    authenticate_owner,
    recent,
)


class ChangeEmail(msgspec.Struct, frozen=True):
    """The address that the account shall have."""

    email: EmailField


class ConfirmEmail(msgspec.Struct, frozen=True):
    """The token of the mail to the new address.

    `password` is the account's, and is needed without an access token of the account.
    """

    token: TokenField
    password: str | None = None


class RevertEmail(msgspec.Struct, frozen=True):
    """The token of the mail to the old address."""

    token: TokenField


_CHANGE = msgspec.json.Decoder(ChangeEmail)
_CONFIRM = msgspec.json.Decoder(ConfirmEmail)
_REVERT = msgspec.json.Decoder(RevertEmail)


async def change(request: Request) -> Response:
    need_mail(request)
    email_changes = self_service_of(request).email_changes
    account_id, *_ = await recent(request)
    body = parse_json(request, await read_body(request), _CHANGE)
    await email_changes.ask(account_id, body.email, by=by_user(request))
    return JSON(OnItsWay(), 202)


CHANGE = Operation(
    method="POST",
    path=f"{BASE}/email/change",
    handler=change,
    needs_accounts=True,
    tag="account",
    summary="Change the mail address",
    description=(
        "Mails a token to the new address; the old one stays until it comes back. 404 "
        f"where no mail can be sent. {NEEDS_RECENT}"
    ),
    request=ChangeEmail,
    example={"email": "ann@example.net"},
    response=OnItsWay,
    status=202,
    bearer=True,
    needs_bearer=True,
    errors=(
        *RECENT_ERRORS,
        *BODY_ERRORS,
        errors.EmailInvalid,
        errors.EmailTaken,
    ),
)


async def confirm(request: Request) -> Response:
    email_changes = self_service_of(request).email_changes
    account_id = None
    if access_token(request) is not None:
        account_id, _ = await authenticate_owner(request)
    body = parse_json(request, await read_body(request), _CONFIRM)
    if account_id is None and body.password is None:
        raise InvalidRequest("Send Authorization: Bearer, or the account's password.")
    await email_changes.confirm(
        body.token,
        account_id=account_id,
        password=body.password or "",
        address=client_address(request),
    )
    return done()


CONFIRM = Operation(
    method="POST",
    path=f"{BASE}/email/confirm",
    handler=confirm,
    needs_accounts=True,
    tag="account",
    summary="Confirm the new mail address",
    description=(
        "The old address gets a mail with a way back, which works for seven days."
    ),
    request=ConfirmEmail,
    example={"token": "ww_cf_…"},
    status=204,
    bearer=True,
    errors=(
        *OWNER_ERRORS,
        *BODY_ERRORS,
        errors.ConfirmationInvalid,
        errors.InvalidCredentials,
        errors.EmailTaken,
    ),
)


async def revert(request: Request) -> Response:
    email_changes = self_service_of(request).email_changes
    body = parse_json(request, await read_body(request), _REVERT)
    await email_changes.revert(body.token, address=client_address(request))
    return done()


REVERT = Operation(
    method="POST",
    path=f"{BASE}/email/revert",
    handler=revert,
    needs_accounts=True,
    tag="account",
    summary="Go back to the old mail address",
    description=(
        "For an account that a thief has taken: the address is the old one again, all "
        "sessions end, the password is void, and a mail to the address sets a new one."
    ),
    request=RevertEmail,
    example={"token": "ww_cf_…"},
    status=204,
    errors=(*BODY_ERRORS, errors.ConfirmationInvalid),
)
