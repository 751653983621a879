"""What the buttons of /confirm do, one for each kind of link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import Authenticated
from watchword.errors import SecondFactorRequired, WatchwordError
from watchword.server.endpoints.pages.asking import go_on
from watchword.server.endpoints.pages.on_the_way import signed_in_page
from watchword.server.endpoints.pages.visitor import begin
from watchword.server.page_cookies import handles_in, set_notice
from watchword.server.page_response import see_other
from watchword.server.pages.views import (
    AccountNotice,
    Confirm,
    Link,
    SignInNotice,
)
from watchword.server.parsing import Form, client_address, self_service_of
from watchword.server.visitor import visitor_of

Button: TypeAlias = Callable[[Request, Form, Confirm], Awaitable[Response]]


async def _registration(request: Request, form: Form, view: Confirm) -> Response:
    authenticated = await self_service_of(request).registrations.confirm(
        view.token,
        handles=handles_in(request),
        password=form.get("password") or "",
        username=form.get("username"),
        address=client_address(request),
    )
    return await _signed_in(request, authenticated, AccountNotice.ACCOUNT_MADE)


async def _invitation(request: Request, form: Form, view: Confirm) -> Response:
    authenticated = await self_service_of(request).invitations.accept(
        view.token,
        form.need("password"),
        username=form.get("username"),
        address=client_address(request),
    )
    return await _signed_in(request, authenticated, AccountNotice.INVITATION_ACCEPTED)


async def _signed_in(
    request: Request, authenticated: Authenticated, notice: AccountNotice
) -> Response:
    """Sign this browser in. If that fails, say that the account is there anyway.

    The link has shown the mailbox: a factor that is demanded is enrolled at once.
    """
    try:
        begun = await begin(request, authenticated, mailbox=True)
    except SecondFactorRequired as error:
        return go_on(request, error)
    except WatchwordError:
        return see_other(request, "sign-in", set_notice(SignInNotice.ACCOUNT_MADE))
    page = signed_in_page(request)
    return see_other(request, page, *begun.cookies, set_notice(notice))


async def _email(request: Request, form: Form, view: Confirm) -> Response:
    visitor = None if view.asks_password else await visitor_of(request)
    await self_service_of(request).email_changes.confirm(
        view.token,
        account_id=None if visitor is None else visitor.account.id,
        password=form.get("password") or "",
        address=client_address(request),
    )
    if visitor is None:
        return see_other(request, "sign-in", set_notice(SignInNotice.EMAIL_CHANGED))
    return see_other(request, "account", set_notice(AccountNotice.EMAIL_CHANGED))


async def _revert(request: Request, _: Form, view: Confirm) -> Response:
    await self_service_of(request).email_changes.revert(
        view.token, address=client_address(request)
    )
    return see_other(request, "sign-in", set_notice(SignInNotice.ADDRESS_BACK))


BUTTONS: Final[Mapping[Link, Button]] = {
    Link.REGISTRATION: _registration,
    Link.INVITATION: _invitation,
    Link.EMAIL: _email,
    Link.REVERT: _revert,
}
