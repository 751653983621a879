"""GET and POST /account: how the user signs in, where, and the end of the account."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.clients.rules import FIRST_PARTY
from watchword.core.limits import LIST_PAGE
from watchword.core.session import Session, as_text
from watchword.errors import CsrfRejected
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.account_forms import FORMS
from watchword.server.endpoints.pages.available import can_send_mail
from watchword.server.endpoints.pages.pairs import page_operations
from watchword.server.endpoints.pages.visitor import Visitor, visitor_of
from watchword.server.page_cookies import drop_notice, notice_in
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.devices import browser_of, system_of
from watchword.server.pages.views import (
    Account,
    AccountForm,
    AccountNotice,
    SessionLine,
)
from watchword.server.parsing import engine_of, self_service_of


async def show(request: Request) -> Response:
    visitor = await visitor_of(request)
    if visitor is None:
        return see_other(request, "sign-in")
    view = await _view(request, visitor)
    notice, count = notice_in(request, AccountNotice)
    if notice is not None:
        view = replace(view, notice=notice, count=count)
    cookies = drop_notice(request) if notice else ()
    return page_of(request, view, account=visitor.account.locale, cookies=cookies)


async def submit(request: Request) -> Response:
    self_service_of(request)
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        visitor = await visitor_of(request)
        if visitor is None:
            return see_other(request, "sign-in")
        view = await _view(request, visitor)
        return page_again(request, view, error, account=visitor.account.locale)
    visitor = await visitor_of(request)
    which = form.get("do") or ""
    if visitor is None or which not in FORMS:
        return see_other(request, "sign-in" if visitor is None else "account")
    done = await FORMS[which](request, form, visitor)
    if isinstance(done, Response):
        return done
    # What the form was refused for, on the page as it is now.
    view = replace(
        await _view(request, visitor),
        faults=done.faults,
        opened=AccountForm(which),
        typed_email=form.get("email") or "",
    )
    locale = visitor.account.locale
    if done.error is None:
        return page_of(request, view, status=422, account=locale)
    fields = ("email", "password")
    return page_again(
        request, view, done.error, *fields, wrong=done.wrong, account=locale
    )


async def _view(request: Request, visitor: Visitor) -> Account:
    account, has_mail = visitor.account, can_send_mail(request)
    changes = self_service_of(request).email_changes
    page = await engine_of(request).sessions.page(account.id, limit=LIST_PAGE)
    others = [one for one in page.sessions if one.id != visitor.session.id]
    return Account(
        name=account.name,
        username="" if account.name == account.email_key else account.name,
        created_at=account.created_at,
        # One that is not confirmed is the one that waits.
        email=(account.email_confirmed_at and account.email) or "",
        sessions=(
            replace(_line(visitor.session), is_this=True),
            *map(_line, others),
        ),
        waiting=await changes.waiting(account.id),
        has_mail=has_mail,
        has_more=page.onward is not None,
    )


def _line(session: Session) -> SessionLine:
    ours = session.client_id == FIRST_PARTY.id or session.client_id.startswith("_")
    return SessionLine(
        id=as_text(session.id),
        client="" if ours else session.client_id,
        browser=browser_of(session.user_agent),
        system=system_of(session.user_agent),
        address=session.address,
        since=session.authenticated_at,
        used=session.rotated_at,
    )


SHOW, SUBMIT = page_operations("/account", show, submit)
