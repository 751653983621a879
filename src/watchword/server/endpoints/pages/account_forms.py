"""What the forms of /account do.

A form that changes how the user signs in asks for the password: a browser that is left
open does not give the account away. The others need none, so that a strange session can
be ended at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.actor import EndReason
from watchword.core.session import from_text
from watchword.errors import (
    EmailInvalid,
    EmailTaken,
    InvalidCredentials,
    LastAdmin,
    PasswordRejected,
    Throttled,
    WatchwordError,
)
from watchword.server.csrf import new_form_cookie
from watchword.server.endpoints.pages.available import can_send_mail, need
from watchword.server.endpoints.pages.visitor import Visitor, begin
from watchword.server.page_cookies import set_notice
from watchword.server.page_response import missing, see_other
from watchword.server.pages.faults import CREDENTIALS
from watchword.server.pages.language import LOCALES
from watchword.server.pages.views import (
    AccountForm,
    AccountNotice,
    Fault,
    Reason,
    SignInNotice,
)
from watchword.server.parsing import (
    Form,
    by_user,
    client_address,
    engine_of,
    self_service_of,
)
from watchword.server.sign_in_cookie import drop_sign_in_cookie


class Refused(msgspec.Struct, frozen=True):
    """Why a form was not accepted: what it lacks, or what the engine says.

    `wrong` is what a wrong password says.
    """

    faults: tuple[Fault, ...] = ()
    error: WatchwordError | None = None
    wrong: Fault = CREDENTIALS


Done: TypeAlias = Response | Refused
FormHandler: TypeAlias = Callable[[Request, Form, Visitor], Awaitable[Done]]


async def _email(request: Request, form: Form, visitor: Visitor) -> Done:
    need(available=can_send_mail(request))
    field = "email-password"
    faults = missing(form, email="email", current_password=field)
    if faults:
        return Refused(faults)
    try:
        await _check(request, form, visitor)
        await self_service_of(request).email_changes.ask(
            visitor.account.id, form.need("email"), by=by_user(request)
        )
    except (InvalidCredentials, EmailInvalid, EmailTaken, Throttled) as error:
        return _refused(error, field)
    return _done(request, AccountNotice.EMAIL_ASKED)


async def _password(request: Request, form: Form, visitor: Visitor) -> Done:
    field = "current-password"
    faults = missing(form, current_password=field, password="password")  # noqa: S106
    if faults:
        return Refused(faults)
    try:
        authenticated = await engine_of(
            request
        ).second_factors.step_up.replace_password(
            visitor.account.id,
            form.need("current_password"),
            form.need("password"),
            keep_session=visitor.session.id,
            address=client_address(request),
        )
    except (InvalidCredentials, PasswordRejected, Throttled) as error:
        return _refused(error, field)
    # The session goes on under a new cookie.
    cookies = await begin(request, authenticated)
    return _done(request, AccountNotice.PASSWORD_CHANGED, *cookies)


async def _end(request: Request, form: Form, visitor: Visitor) -> Done:
    sessions = engine_of(request).sessions
    session_id = from_text(form.get("session") or "")
    session = None if session_id is None else await sessions.get(session_id)
    # A session of another account gets the same answer as one that has ended already.
    if session is not None and session.account_id == visitor.account.id:
        await sessions.end_one(session.id, EndReason.ENDED_BY_USER, by=by_user(request))
    return _done(request, AccountNotice.SESSION_ENDED)


async def _end_others(request: Request, _: Form, visitor: Visitor) -> Done:
    count = await engine_of(request).sessions.end_all(
        visitor.account.id,
        EndReason.LOGOUT_EVERYWHERE,
        but=visitor.session.id,
        by=by_user(request),
    )
    return _done(request, AccountNotice.OTHERS_ENDED, count=count)


async def _locale(request: Request, form: Form, visitor: Visitor) -> Done:
    locale = form.get("locale")
    if locale in LOCALES:
        await engine_of(request).accounts.update_profile(
            visitor.account.id, locale=locale, by=by_user(request)
        )
    return _done(request, AccountNotice.LOCALE_SAVED)


async def _delete(request: Request, form: Form, visitor: Visitor) -> Done:
    field = "delete-password"
    faults = missing(form, current_password=field)
    if faults:
        return Refused(faults)
    try:
        await _check(request, form, visitor)
        await engine_of(request).accounts.delete(
            visitor.account.id, by=by_user(request)
        )
    except (InvalidCredentials, LastAdmin, Throttled) as error:
        return _refused(error, field)
    notice = set_notice(SignInNotice.ACCOUNT_DELETED)
    form_cookie = new_form_cookie(engine_of(request).entropy)
    cookies = (drop_sign_in_cookie(), form_cookie, notice)
    return see_other(request, "sign-in", *cookies)


FORMS: Final[Mapping[str, FormHandler]] = {
    AccountForm.EMAIL: _email,
    AccountForm.PASSWORD: _password,
    AccountForm.END: _end,
    AccountForm.END_OTHERS: _end_others,
    AccountForm.LOCALE: _locale,
    AccountForm.DELETE: _delete,
}


async def _check(request: Request, form: Form, visitor: Visitor) -> None:
    await engine_of(request).second_factors.step_up.check(
        visitor.account.id,
        form.need("current_password"),
        address=client_address(request),
    )


def _refused(error: WatchwordError, password_field: str) -> Refused:
    return Refused(error=error, wrong=Fault(Reason.PASSWORD_WRONG, password_field))


def _done(
    request: Request, notice: AccountNotice, *cookies: str, count: int = 0
) -> Response:
    return see_other(request, "account", *cookies, set_notice(notice, count))
