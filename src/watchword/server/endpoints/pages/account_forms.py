"""What the forms of /account do.

A form that changes how the user signs in asks for the password, or comes behind a
recent proof of a second factor: a browser that is left open does not give the account
away. The others need none, so that a strange session can be ended at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.actor import EndReason
from watchword.core.session import from_text
from watchword.errors import (
    EmailInvalid,
    EmailTaken,
    InvalidCredentials,
    InvalidRequest,
    LastAdmin,
    LastFactor,
    NotFound,
    PasswordRejected,
    Throttled,
    WatchwordError,
)
from watchword.server.csrf import new_form_cookie
from watchword.server.endpoints.pages.adding import codes_page
from watchword.server.endpoints.pages.available import can_send_mail, need
from watchword.server.endpoints.pages.visitor import begin
from watchword.server.page_cookies import set_notice
from watchword.server.page_response import missing, redirect, see_other
from watchword.server.pages.faults import CREDENTIALS
from watchword.server.pages.language import LOCALES
from watchword.server.pages.step_views import After
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
    oauth_of,
    self_service_of,
)
from watchword.server.sign_in_cookie import drop_sign_in_cookie
from watchword.server.visitor import Owner


class Refused(msgspec.Struct, frozen=True):
    """Why a form was not accepted: what it lacks, or what the engine says.

    `wrong` is what a wrong password says.
    """

    faults: tuple[Fault, ...] = ()
    error: WatchwordError | None = None
    wrong: Fault = CREDENTIALS


Done: TypeAlias = Response | Refused
FormHandler: TypeAlias = Callable[[Request, Form, Owner], Awaitable[Done]]


async def _email(request: Request, form: Form, owner: Owner) -> Done:
    need(available=can_send_mail(request))
    field = "email-password"
    faults = missing(form, email="email") + _missing(form, owner, field)
    if faults:
        return Refused(faults)
    try:
        await _check(request, form, owner)
        await self_service_of(request).email_changes.ask(
            owner.account.id, form.need("email"), by=by_user(request)
        )
    except (InvalidCredentials, EmailInvalid, EmailTaken, Throttled) as error:
        return _refused(error, field)
    return _done(request, AccountNotice.EMAIL_ASKED)


async def _password(request: Request, form: Form, owner: Owner) -> Done:
    field = "current-password"
    faults = missing(form, current_password=field, password="password")  # noqa: S106
    if faults:
        return Refused(faults)
    try:
        authenticated = await engine_of(
            request
        ).second_factors.step_up.replace_password(
            owner.account.id,
            form.need("current_password"),
            form.need("password"),
            keep_session=owner.session.id,
            address=client_address(request),
        )
    except (InvalidCredentials, PasswordRejected, Throttled) as error:
        return _refused(error, field)
    if owner.has_factor:
        # It was proved a moment ago, or this form would not have been taken.
        session = owner.session
        amr = tuple(dict.fromkeys((*session.amr, *authenticated.amr)))
        authenticated = replace(
            authenticated, amr=amr, acr=session.acr, at=session.auth_time
        )
    # The session goes on under a new cookie.
    begun = await begin(request, authenticated)
    return _done(request, AccountNotice.PASSWORD_CHANGED, *begun.cookies)


async def _end(request: Request, form: Form, owner: Owner) -> Done:
    sessions = engine_of(request).sessions
    session_id = from_text(form.get("session") or "")
    session = None if session_id is None else await sessions.get(session_id)
    # A session of another account gets the same answer as one that has ended already.
    if session is not None and session.account_id == owner.account.id:
        await sessions.end_one(session.id, EndReason.ENDED_BY_USER, by=by_user(request))
    return _done(request, AccountNotice.SESSION_ENDED)


async def _end_others(request: Request, _: Form, owner: Owner) -> Done:
    count = await engine_of(request).sessions.end_all(
        owner.account.id,
        EndReason.LOGOUT_EVERYWHERE,
        but=owner.session.id,
        by=by_user(request),
    )
    return _done(request, AccountNotice.OTHERS_ENDED, count=count)


async def _locale(request: Request, form: Form, owner: Owner) -> Done:
    locale = form.get("locale")
    if locale in LOCALES:
        await engine_of(request).accounts.update_profile(
            owner.account.id, locale=locale, by=by_user(request)
        )
    # Without the language of this address, which would hide the one that was chosen.
    return redirect("account", set_notice(AccountNotice.LOCALE_SAVED))


async def _delete(request: Request, form: Form, owner: Owner) -> Done:
    field = "delete-password"
    faults = _missing(form, owner, field)
    if faults:
        return Refused(faults)
    try:
        await _check(request, form, owner)
        await engine_of(request).accounts.delete(owner.account.id, by=by_user(request))
    except (InvalidCredentials, LastAdmin, Throttled) as error:
        return _refused(error, field)
    notice = set_notice(SignInNotice.ACCOUNT_DELETED)
    form_cookie = new_form_cookie(engine_of(request).entropy)
    cookies = (drop_sign_in_cookie(request), form_cookie, notice)
    return see_other(request, "sign-in", *cookies)


async def _rename(request: Request, form: Form, owner: Owner) -> Done:
    try:
        await engine_of(request).second_factors.factors.rename(
            owner.account.id,
            _factor_in(form),
            form.get("name") or "",
            by=by_user(request),
        )
    except InvalidRequest:
        field = f"name-{form.get('factor') or ''}"
        return Refused((Fault(Reason.FACTOR_NAME, field),))
    except Throttled as error:
        return Refused(error=error)
    except NotFound:  # removed in another tab
        return see_other(request, "account")
    return _done(request, AccountNotice.FACTOR_RENAMED)


async def _remove(request: Request, form: Form, owner: Owner) -> Done:
    account = owner.account
    try:
        await engine_of(request).second_factors.factors.remove(
            account.id, _factor_in(form), roles=account.roles, by=by_user(request)
        )
    except LastFactor as error:
        return Refused(error=error)
    except NotFound:
        return see_other(request, "account")
    return _done(request, AccountNotice.FACTOR_REMOVED)


async def _new_codes(request: Request, _: Form, owner: Owner) -> Done:
    try:
        codes = await engine_of(request).second_factors.factors.new_recovery_codes(
            owner.account.id, by=by_user(request)
        )
    except Throttled as error:
        return Refused(error=error)
    except NotFound:  # the last factor was removed
        return see_other(request, "account")
    locale = owner.account.locale
    return codes_page(request, codes, AccountNotice.NEW_CODES, account=locale)


async def _withdraw(request: Request, form: Form, owner: Owner) -> Done:
    """An app loses what it was allowed, and its sessions end."""
    # Withdrawn by another tab meanwhile: then it is so.
    with contextlib.suppress(NotFound):
        await oauth_of(request).consents.withdraw(
            owner.account.id, form.get("client") or "", by=by_user(request)
        )
    return _done(request, AccountNotice.WITHDRAWN)


def _factor_in(form: Form) -> bytes:
    """The id of the factor. Raises NotFound for what is none."""
    factor_id = from_text(form.get("factor") or "")
    if factor_id is None:
        raise NotFound
    return factor_id


FORMS: Final[Mapping[str, FormHandler]] = {
    AccountForm.EMAIL: _email,
    AccountForm.PASSWORD: _password,
    AccountForm.END: _end,
    AccountForm.END_OTHERS: _end_others,
    AccountForm.LOCALE: _locale,
    AccountForm.RENAME: _rename,
    AccountForm.REMOVE: _remove,
    AccountForm.NEW_CODES: _new_codes,
    AccountForm.WITHDRAW: _withdraw,
    AccountForm.DELETE: _delete,
}


CHANGES: Final[Mapping[AccountForm, After]] = {
    AccountForm.EMAIL: After.EMAIL,
    AccountForm.PASSWORD: After.PASSWORD,
    AccountForm.RENAME: After.FACTORS,
    AccountForm.REMOVE: After.FACTORS,
    AccountForm.NEW_CODES: After.FACTORS,
    AccountForm.DELETE: After.DELETE,
}
"""The forms that need a recent proof where the account has a second factor."""


def _missing(form: Form, owner: Owner, field: str) -> tuple[Fault, ...]:
    """The password, which is asked for where no factor has been proved instead."""
    return () if owner.has_factor else missing(form, current_password=field)


async def _check(request: Request, form: Form, owner: Owner) -> None:
    if owner.has_factor:
        return
    await engine_of(request).second_factors.step_up.check(
        owner.account.id,
        form.need("current_password"),
        address=client_address(request),
    )


def _refused(error: WatchwordError, password_field: str) -> Refused:
    return Refused(error=error, wrong=Fault(Reason.PASSWORD_WRONG, password_field))


def _done(
    request: Request, notice: AccountNotice, *cookies: str, count: int = 0
) -> Response:
    return see_other(request, "account", *cookies, set_notice(notice, count))
