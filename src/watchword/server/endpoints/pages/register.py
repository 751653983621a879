"""GET and POST /register: asks for an account, or for its message once more."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import (
    CsrfRejected,
    EmailInvalid,
    NameInvalid,
    PasswordRejected,
    RegistrationRefused,
    Throttled,
)
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.available import can_register, need
from watchword.server.endpoints.pages.on_the_way import beside_the_way, keep_waiting
from watchword.server.local import kept_mail
from watchword.server.operation import page_operations
from watchword.server.page_cookies import add_handle
from watchword.server.page_response import missing, page_again, page_of
from watchword.server.pages.frames import locale_of
from watchword.server.pages.views import CheckMail, MailFor, Register
from watchword.server.parsing import Form, client_address, self_service_of

_FIELDS = ("email", "username", "password")


@beside_the_way
async def show(request: Request) -> Response:
    self_service_of(request)
    need(available=can_register(request))
    return page_of(request, Register())


@beside_the_way
async def submit(request: Request) -> Response:
    self_service_of(request)
    need(available=can_register(request))
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, Register(), error)
    if form.get("registration") is not None:
        return await _send_again(request, form)
    return await _register(request, form)


async def _register(request: Request, form: Form) -> Response:
    email, username = form.get("email") or "", form.get("username")
    view = Register(email=email, username=username or "")
    faults = missing(form, email="email", password="password")  # noqa: S106 - an id
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        handle = await self_service_of(request).registrations.ask(
            email,
            form.need("password"),
            username=username,
            locale=locale_of(request),
            address=client_address(request),
        )
    except (
        EmailInvalid,
        NameInvalid,
        PasswordRejected,
        RegistrationRefused,
        Throttled,
    ) as error:
        return page_again(request, view, error, *_FIELDS)
    return page_of(
        request,
        _check_mail(request, email, handle),
        cookies=(add_handle(request, handle), *keep_waiting(request)),
    )


async def _send_again(request: Request, form: Form) -> Response:
    handle, email = form.need("registration"), form.get("email") or ""
    view = _check_mail(request, email, handle)
    try:
        await self_service_of(request).registrations.resend(
            handle, address=client_address(request)
        )
    except Throttled as error:
        return page_again(request, view, error)
    return page_of(request, replace(view, sent_again=True))


def _check_mail(request: Request, email: str, handle: str) -> CheckMail:
    return CheckMail(
        purpose=MailFor.REGISTER,
        address=email,
        registration=handle,
        kept=kept_mail(request),
    )


SHOW, SUBMIT = page_operations("/register", show, submit)
