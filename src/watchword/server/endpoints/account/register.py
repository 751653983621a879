"""POST /register, /register/resend and /register/confirm: an account of one's own.

The account exists only when mailbox and asker are proved together: the token comes by
mail, the handle or the password is that of the user that asked.
"""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.errors import InvalidRequest
from watchword.server.beginning import (
    FIRST_FACTOR_ERRORS,
    SessionFields,
    SessionRequest,
)
from watchword.server.endpoints.account.fields import (
    EmailField,
    HandleField,
    LocaleField,
    NameField,
    OnItsWay,
    TokenField,
    need_mail,
    need_open,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    BODY_ERRORS,
    client_address,
    parse_json,
    read_body,
    self_service_of,
)
from watchword.server.responses import JSON, Tokens


class Register(msgspec.Struct, frozen=True):
    """The account that shall be, once its address is confirmed.

    Without `username` the account is known by its address. `locale` is the language of
    its mail.
    """

    email: EmailField
    password: str
    username: NameField | None = None
    locale: LocaleField = ""


class Registering(OnItsWay, frozen=True, kw_only=True):
    """The same bytes for every address, but for the handle.

    Keep the handle: with the token of the mail it confirms the registration.
    """

    registration: str


class Resend(msgspec.Struct, frozen=True):
    """The registration that no mail has come for."""

    registration: HandleField


class ConfirmRegistration(SessionFields, frozen=True):
    """The token, what proves the asker, and how the session shall be: as of a login.

    `registration` or `password` is needed. `username` takes the place of a name that
    was taken meanwhile.
    """

    token: TokenField
    registration: HandleField | None = None
    password: str | None = None
    username: NameField | None = None


_REGISTER = msgspec.json.Decoder(Register)
_RESEND = msgspec.json.Decoder(Resend)
_CONFIRM = msgspec.json.Decoder(ConfirmRegistration)


async def register(request: Request) -> Response:
    need_open(request)
    need_mail(request)
    registrations = self_service_of(request).registrations
    body = parse_json(request, await read_body(request), _REGISTER)
    handle = await registrations.ask(
        body.email,
        body.password,
        username=body.username,
        locale=body.locale,
        address=client_address(request),
    )
    return JSON(Registering(registration=handle), 202)


REGISTER = Operation(
    method="POST",
    path=f"{BASE}/register",
    handler=register,
    needs_accounts=True,
    tag="account",
    summary="Register",
    description=(
        "Mails a token to the address, or that there is an account already: the answer "
        "is the same. 404 unless WATCHWORD_REGISTRATION is `open`."
    ),
    request=Register,
    example={"email": "ann@example.org", "password": "four words make a phrase"},
    response=Registering,
    status=202,
    errors=(
        *BODY_ERRORS,
        errors.EmailInvalid,
        errors.NameInvalid,
        errors.PasswordRejected,
        errors.RegistrationRefused,
    ),
)


async def resend(request: Request) -> Response:
    need_open(request)
    need_mail(request)
    registrations = self_service_of(request).registrations
    body = parse_json(request, await read_body(request), _RESEND)
    await registrations.resend(body.registration, address=client_address(request))
    return JSON(OnItsWay(), 202)


RESEND = Operation(
    method="POST",
    path=f"{BASE}/register/resend",
    handler=resend,
    needs_accounts=True,
    tag="account",
    summary="Send the mail of a registration again",
    description="The link in the mail before stops working when the new one is sent.",
    request=Resend,
    example={"registration": "ww_rg_…"},
    response=OnItsWay,
    status=202,
    errors=BODY_ERRORS,
)


async def confirm(request: Request) -> Response:
    need_open(request)
    registrations = self_service_of(request).registrations
    body = parse_json(request, await read_body(request), _CONFIRM)
    if body.registration is None and body.password is None:
        raise InvalidRequest("Send the registration, or the password that it has.")
    session = await SessionRequest.of(request, body)
    authenticated = await registrations.confirm(
        body.token,
        handles=() if body.registration is None else (body.registration,),
        password=body.password or "",
        username=body.username,
        address=client_address(request),
    )
    return await session.begin(authenticated, mailbox=True)


CONFIRM = Operation(
    method="POST",
    path=f"{BASE}/register/confirm",
    handler=confirm,
    needs_accounts=True,
    tag="account",
    summary="Confirm a registration, and sign in",
    description=(
        "Makes the account and begins its first session. Needs the token of the mail "
        "and what proves the asker: the handle, or on another device the password. "
        "`name_taken` spends nothing: send it again with another `username`."
    ),
    request=ConfirmRegistration,
    example={"token": "ww_cf_…", "registration": "ww_rg_…"},
    response=Tokens,
    status=201,
    dpop=True,
    client=True,
    errors=(
        *FIRST_FACTOR_ERRORS,
        errors.ConfirmationInvalid,
        errors.NotFound,
        errors.NameInvalid,
        errors.NameTaken,
        errors.EmailTaken,
    ),
)
