"""GET and POST /console/mail: invitations, and how mail does."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.admin.mail import written_at
from watchword.core.session import as_text
from watchword.errors import InvalidRequest, NotFound
from watchword.ports.outbox import LeasedMessage
from watchword.server.admin_auth import admin_of
from watchword.server.console.mail import Mail, WaitingRow, server_in_words
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console.screens import Fault
from watchword.server.console_response import again, screen_of
from watchword.server.endpoints.console.refusing import WRONG, refused
from watchword.server.endpoints.console.visitor import Admin, for_admin, takes_form
from watchword.server.operation import screen_operations
from watchword.server.parsing import Form, engine_of, self_service_of

_WAITING: Final = 20


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    return screen_of(request, admin, await _view(request, admin))


@takes_form
async def submit(request: Request, admin: Admin, form: Form) -> Response:
    try:
        return await _done(request, admin, form)
    except WRONG as error:
        view = replace(await _view(request, admin), typed=form.fields)
        is_test = form.get("do") == "test"
        fault = Fault(str(error), "to") if is_test else None
        return refused(request, admin, view, error, "email", fault=fault)


async def _done(request: Request, admin: Admin, form: Form) -> Response:
    parts = admin_of(request)
    match form.need("do"):
        case "invite":
            await parts.invitations.invite(
                admin.operator,
                form.get("email") or "",
                roles=(form.get("roles") or "").split(),
                locale=form.get("locale") or "",
            )
            return again(request, ConsoleNotice.INVITED)
        case "withdraw":
            await parts.invitations.withdraw(admin.operator, form.need("invitation"))
            return again(request, ConsoleNotice.INVITATION_WITHDRAWN)
        case "test":
            reason = await parts.mail.test(admin.operator, form.get("to") or "")
            if not reason:
                return again(request, ConsoleNotice.TEST_SENT)
            fault = Fault(f"The mail server did not take the message: {reason}", "to")
            view = await _view(request, admin)
            view = replace(view, typed=form.fields, faults=(fault,))
            return screen_of(request, admin, view)
    raise InvalidRequest("There is no such form.")


async def _view(request: Request, admin: Admin) -> Mail:
    parts, settings = admin_of(request), engine_of(request).settings
    after = request.query_params.get("after") or None
    try:
        page = await parts.invitations.list(after=after)
    except InvalidRequest:  # a link that was kept for too long
        raise NotFound from None
    waiting = await parts.mail.list(limit=_WAITING)
    return Mail(
        server=server_in_words(settings.effective_mail_url),
        sender=settings.effective_mail_from,
        state=await parts.mail.state(),
        waiting=tuple(map(_row, waiting.items)),
        invitations=tuple(page.items),
        next=page.next,
        is_later=after is not None,
        invites=self_service_of(request).rules.takes_invitations,
        address=admin.account.email or "",
    )


def _row(leased: LeasedMessage) -> WaitingRow:
    account_id = leased.message.account_id
    return WaitingRow(
        subject="" if account_id is None else as_text(account_id),
        written=written_at(leased),
        tries=leased.attempts,
        due=leased.message.not_before,
    )


ENDPOINTS: Final = screen_operations("mail", show, submit)
