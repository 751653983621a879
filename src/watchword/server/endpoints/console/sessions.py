"""GET and POST /console/sessions: those that live are searched and ended."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import InvalidRequest
from watchword.server.admin_auth import admin_of
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console.screens import Fault
from watchword.server.console.sessions import Sessions, session_line
from watchword.server.console_response import again, screen_of
from watchword.server.endpoints.console.naming import account_of, names_of
from watchword.server.endpoints.console.refusing import search_fault
from watchword.server.endpoints.console.times import instant_in
from watchword.server.endpoints.console.visitor import Admin, for_admin, takes_form
from watchword.server.operation import screen_operations
from watchword.server.parsing import Form, engine_of, query_of

_NO_TIME: Final = "Enter a day and a time that has passed, such as 2026-11-28T22:41"


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    view = await _view(request, admin)
    return screen_of(request, admin, view, status=422 if view.faults else 200)


@takes_form
async def submit(request: Request, admin: Admin, form: Form) -> Response:
    sessions = admin_of(request).sessions
    match form.need("do"):
        case "end":
            count = await sessions.end(admin.operator, form.need("session"))
            return again(request, ConsoleNotice.SESSIONS_ENDED, count)
        case "end-before":
            return await _end_before(request, admin, form)
    raise InvalidRequest("There is no such form.")


async def _end_before(request: Request, admin: Admin, form: Form) -> Response:
    typed = form.get("before") or ""
    instant = instant_in(typed)
    if instant is None or instant > engine_of(request).clock():
        view = replace(
            await _view(request, admin),
            before=typed,
            faults=(Fault(_NO_TIME, "before"),),
        )
        return screen_of(request, admin, view, status=422)
    count = await admin_of(request).sessions.end_before(admin.operator, instant)
    return again(request, ConsoleNotice.SESSIONS_ENDED, count)


async def _view(request: Request, admin: Admin) -> Sessions:
    given = query_of(request)
    view = Sessions(
        account=given.get("account", "").strip(),
        client=given.get("client", "").strip(),
        is_later="after" in given,
    )
    account = None
    if view.account:
        found = await account_of(request, view.account)
        if found is None:
            fault = Fault("There is no account of that name or address", "account")
            return replace(view, faults=(fault,))
        account = found.subject
    try:
        page = await admin_of(request).sessions.list(
            account=account, client=view.client or None, after=given.get("after")
        )
    except InvalidRequest as error:
        return replace(view, faults=(search_fault(error),))
    names = await names_of(request, (one.account_id for one in page.items))
    lines = [session_line(one, names, admin.session.id) for one in page.items]
    return replace(view, lines=lines, next=page.next)


ENDPOINTS: Final = screen_operations("sessions", show, submit)
