"""GET and POST /forgot: asks for the link to choose a new password."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import CsrfRejected, EmailInvalid, Throttled
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.available import can_send_mail, need
from watchword.server.endpoints.pages.on_the_way import beside_the_way, keep_waiting
from watchword.server.local import kept_mail
from watchword.server.operation import page_operations
from watchword.server.page_response import missing, page_again, page_of
from watchword.server.pages.views import CheckMail, Forgot, MailFor
from watchword.server.parsing import client_address, self_service_of


@beside_the_way
async def show(request: Request) -> Response:
    self_service_of(request)
    need(available=can_send_mail(request))
    return page_of(request, Forgot())


@beside_the_way
async def submit(request: Request) -> Response:
    recovery = self_service_of(request).recovery
    need(available=can_send_mail(request))
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, Forgot(), error)
    view = Forgot(email=form.get("email") or "")
    faults = missing(form, email="email")
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        await recovery.ask(view.email, address=client_address(request))
    except (EmailInvalid, Throttled) as error:
        return page_again(request, view, error, "email")
    mail = CheckMail(
        purpose=MailFor.FORGOT, address=view.email, kept=kept_mail(request)
    )
    return page_of(request, mail, cookies=keep_waiting(request))


SHOW, SUBMIT = page_operations("/forgot", show, submit)
