"""What the forms of one account do."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from watchword.admin.accounts import AccountAdmin
from watchword.admin.operators import Operator
from watchword.errors import InvalidRequest, NotFound
from watchword.server.admin_auth import admin_of
from watchword.server.console.accounts import values_of
from watchword.server.console.notices import ConsoleNotice
from watchword.server.console_response import again, done
from watchword.server.endpoints.console.visitor import Admin, version_in
from watchword.server.parsing import Form, engine_of

AccountForm: TypeAlias = Callable[[Request, Admin, Form, str], Awaitable[Response]]
Verb: TypeAlias = Callable[[AccountAdmin, Operator, str, int], Awaitable[int | None]]
CHANGE: Final = "change"
"""The form that has fields to type into."""


async def _change(request: Request, admin: Admin, form: Form, subject: str) -> Response:
    accounts, version = admin_of(request).accounts, version_in(form)
    before = values_of((await accounts.get(subject)).account)
    given = {name: (form.get(name) or "").strip() for name in before}
    new = {name: given[name] for name in before if given[name] != before[name]}
    is_known = form.get("confirmed") == "yes"
    is_asked = "email" in new and not is_known
    if is_asked and not engine_of(request).mail_writer.can_send:
        raise InvalidRequest(
            "No mail can be sent to ask the new address: say that you know it"
        )
    await accounts.update(
        admin.operator,
        subject,
        version,
        username=new.get("username"),
        email=new.get("email"),
        confirmed=is_known,
        roles=new["roles"].split() if "roles" in new else None,
        locale=new.get("locale"),
    )
    notice = ConsoleNotice.ADDRESS_ASKED if is_asked else ConsoleNotice.ACCOUNT_CHANGED
    return again(request, notice)


def _by(verb: Verb, notice: ConsoleNotice) -> AccountForm:
    """The form of a verb that needs the account and its version alone."""

    async def handle(
        request: Request, admin: Admin, form: Form, subject: str
    ) -> Response:
        accounts, version = admin_of(request).accounts, version_in(form)
        count = await verb(accounts, admin.operator, subject, version)
        return again(request, notice, count or 0)

    return handle


async def _delete(request: Request, admin: Admin, form: Form, subject: str) -> Response:
    count = await admin_of(request).accounts.delete(
        admin.operator, subject, version_in(form)
    )
    return done(request, ConsoleNotice.ACCOUNT_DELETED, "accounts", count=count)


async def _end(request: Request, admin: Admin, form: Form, _: str) -> Response:
    count = 0
    with contextlib.suppress(NotFound):  # it ended by itself meanwhile
        count = await admin_of(request).sessions.end(
            admin.operator, form.need("session")
        )
    return again(request, ConsoleNotice.SESSIONS_ENDED, count)


async def _withdraw(
    request: Request, admin: Admin, form: Form, subject: str
) -> Response:
    count = await admin_of(request).accounts.withdraw(
        admin.operator, subject, form.need("client")
    )
    return again(request, ConsoleNotice.CONSENT_WITHDRAWN, count)


_FORMS: Final[Mapping[str, AccountForm]] = {
    CHANGE: _change,
    "disable": _by(AccountAdmin.disable, ConsoleNotice.ACCOUNT_DISABLED),
    "enable": _by(AccountAdmin.enable, ConsoleNotice.ACCOUNT_ENABLED),
    "end-sessions": _by(AccountAdmin.end_sessions, ConsoleNotice.SESSIONS_ENDED),
    "send-reset": _by(AccountAdmin.send_reset, ConsoleNotice.RESET_SENT),
    "reset-factors": _by(AccountAdmin.reset_factors, ConsoleNotice.FACTORS_RESET),
    "delete": _delete,
    "end": _end,
    "withdraw": _withdraw,
}


async def take(request: Request, admin: Admin, form: Form, subject: str) -> Response:
    """Do what the form says. Raises InvalidRequest for one that is none of ours."""
    handler = _FORMS.get(form.need("do"))
    if handler is None:
        raise InvalidRequest("There is no such form.")
    return await handler(request, admin, form, subject)
