"""GET and POST /sign-in: the door of the pages."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import Authenticated
from watchword.errors import CsrfRejected, InvalidCredentials, InvalidRequest, Throttled
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.available import can_register, can_send_mail
from watchword.server.endpoints.pages.pairs import page_operations
from watchword.server.endpoints.pages.visitor import begin, visitor_of
from watchword.server.page_cookies import drop_notice, notice_in
from watchword.server.page_response import missing, page_again, page_of, see_other
from watchword.server.pages.views import SignIn, SignInNotice
from watchword.server.parsing import Form, client_address, engine_of, self_service_of


async def show(request: Request) -> Response:
    visitor = await visitor_of(request)
    notice, _ = notice_in(request, SignInNotice)
    view = _view(
        request,
        notice=notice or SignInNotice.NOTHING,
        name="" if visitor is None else visitor.account.name,
    )
    account = None if visitor is None else visitor.account.locale
    cookies = drop_notice(request) if notice else ()
    return page_of(request, view, account=account, cookies=cookies)


async def submit(request: Request) -> Response:
    self_service_of(request)
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, _view(request), error)
    view = _view(request, username=form.get("username") or "")
    faults = missing(form, username="username", password="password")  # noqa: S106
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        cookies = await begin(request, await _authenticated(request, form))
    except (InvalidCredentials, Throttled) as error:
        return page_again(request, view, error)
    return see_other(request, "account", *cookies)


async def _authenticated(request: Request, form: Form) -> Authenticated:
    """The user. Raises InvalidCredentials, Throttled, Overloaded, StoreUnavailable."""
    try:
        return await engine_of(request).sign_in.check_password(
            form.need("username"),
            form.need("password"),
            address=client_address(request),
        )
    except InvalidRequest:  # a name that no account can have
        raise InvalidCredentials from None


def _view(request: Request, **fields: object) -> SignIn:
    known = {
        "has_register": can_register(request),
        "has_forgot": can_send_mail(request),
    }
    return SignIn(**(known | fields))  # type: ignore[arg-type]  # fields of the view


SHOW, SUBMIT = page_operations("/sign-in", show, submit)
