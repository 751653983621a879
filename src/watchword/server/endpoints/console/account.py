"""GET and POST /console/account: one account, and what can be done with it."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.accounts.recovery import can_reset
from watchword.core.limits import LIST_PAGE
from watchword.errors import NotFound, VersionChanged
from watchword.passwords import is_unusable
from watchword.ports.audit import EventFilter
from watchword.ports.consents import Consent
from watchword.server.admin_auth import admin_of
from watchword.server.console.accounts import (
    AccountScreen,
    ConsentRow,
    values_of,
)
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console.sessions import session_line
from watchword.server.console_response import done, screen_of
from watchword.server.endpoints.console.account_forms import CHANGE, take
from watchword.server.endpoints.console.naming import event_lines
from watchword.server.endpoints.console.refusing import WRONG, refused
from watchword.server.endpoints.console.visitor import (
    Admin,
    for_admin,
    takes_form,
)
from watchword.server.operation import screen_operations
from watchword.server.parsing import Form, engine_of
from watchword.server.waiting import name_of

_EVENTS: Final = 10


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    return screen_of(request, admin, await _view(request, admin))


@takes_form
async def submit(request: Request, admin: Admin, form: Form) -> Response:
    is_typed = form.get("do") == CHANGE
    try:
        return await take(request, admin, form, _subject(request))
    except NotFound:
        return done(request, ConsoleNotice.GONE, "accounts")
    except WRONG as error:
        if isinstance(error, VersionChanged) and not is_typed:
            raise
        view = await _view(request, admin)
        if is_typed:
            view = replace(view, values=form.fields, is_open=True)
        return refused(request, admin, view, error, "username", "email")


def _subject(request: Request) -> str:
    return request.query_params.get("id", "")


async def _view(request: Request, admin: Admin) -> AccountScreen:
    parts, subject = admin_of(request), _subject(request)
    detail = await parts.accounts.get(subject)
    account, enrolled = detail.account, detail.factors
    names = {account.id: account.name}
    sessions = await parts.accounts.sessions(subject, limit=LIST_PAGE)
    events = await parts.events.list(EventFilter(account_id=account.id), limit=_EVENTS)
    consents = await parts.accounts.consents(subject)
    return AccountScreen(
        title=account.name,
        account=account,
        has_password=not is_unusable(account.password_hash),
        sessions=tuple(
            session_line(one, names, admin.session.id) for one in sessions.items
        ),
        factors=enrolled.factors,
        codes_left=enrolled.codes_left,
        consents=tuple([await _consent(request, one) for one in consents]),
        events=tuple(await event_lines(request, events.items)),
        can_reset=engine_of(request).mail_writer.can_send and can_reset(account),
        is_self=account.id == admin.account.id,
        values=values_of(account),
        has_more=sessions.next is not None,
    )


async def _consent(request: Request, consent: Consent) -> ConsentRow:
    try:
        client = await engine_of(request).clients.get(consent.client_id)
    except NotFound:
        return ConsentRow(name=consent.client_id, consent=consent)
    return ConsentRow(name=name_of(client), consent=consent)


ENDPOINTS: Final = screen_operations("account", show, submit)
