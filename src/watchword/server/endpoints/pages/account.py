"""GET and POST /account: how the user signs in, where, and the end of the account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.clients.rules import FIRST_PARTY
from watchword.core.limits import LIST_PAGE
from watchword.core.session import Session, as_text
from watchword.errors import CsrfRejected, NotFound
from watchword.ports.consents import Consent
from watchword.ports.credentials import Credential, CredentialKind
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.account_forms import CHANGES, FORMS, Refused
from watchword.server.endpoints.pages.available import can_send_mail, has_passkeys
from watchword.server.endpoints.pages.recent import for_owner, is_recent, prove_first
from watchword.server.operation import page_operations
from watchword.server.page_cookies import drop_notice, notice_in
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.devices import browser_of, system_of
from watchword.server.pages.views import (
    Account,
    AccountForm,
    AccountNotice,
    ConsentLine,
    FactorLine,
    SessionLine,
)
from watchword.server.parsing import Form, engine_of, oauth_of, self_service_of
from watchword.server.visitor import Owner, owner_of
from watchword.server.waiting import name_of


@for_owner
async def show(request: Request, owner: Owner) -> Response:
    view = replace(await _view(request, owner), opened=_opened(request))
    notice, count = notice_in(request, AccountNotice)
    if notice is not None:
        view = replace(view, notice=notice, count=count)
    cookies = drop_notice(request) if notice else ()
    return page_of(request, view, account=owner.account.locale, cookies=cookies)


@for_owner
async def submit(request: Request, owner: Owner) -> Response:
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        view = await _view(request, owner)
        return page_again(request, view, error, account=owner.account.locale)
    which = form.get("do") or ""
    if which not in FORMS:
        return see_other(request, "account")
    if which in CHANGES and owner.has_factor and not is_recent(request, owner):
        return prove_first(request, CHANGES[AccountForm(which)])
    done = await FORMS[which](request, form, owner)
    if isinstance(done, Response):
        return done
    return await _refused(request, form, done)


async def _refused(request: Request, form: Form, done: Refused) -> Response:
    """What the form was refused for, on the page as it is now."""
    owner = await owner_of(request)
    if owner is None:
        return see_other(request, "sign-in")
    view = replace(
        await _view(request, owner),
        faults=done.faults,
        opened=AccountForm(form.need("do")),
        typed_email=form.get("email") or "",
        factor=form.get("factor") or "",
        renamed=form.get("name") or "",
    )
    locale = owner.account.locale
    if done.error is None:
        return page_of(request, view, status=422, account=locale)
    fields = ("email", "password")
    return page_again(
        request, view, done.error, *fields, wrong=done.wrong, account=locale
    )


def _opened(request: Request) -> AccountForm | None:
    """The form that the user went to prove something for."""
    given = request.query_params.get("open")
    return next((one for one in AccountForm if one == given), None)


async def _view(request: Request, owner: Owner) -> Account:
    enrolled = owner.enrolled
    account, has_mail = owner.account, can_send_mail(request)
    consents = await _consents(request, owner)
    changes = self_service_of(request).email_changes
    page = await engine_of(request).sessions.page(account.id, limit=LIST_PAGE)
    others = [one for one in page.sessions if one.id != owner.session.id]
    ids = [one.client_id for one in consents]
    ids += [one.client_id for one in page.sessions]
    names = await _names(request, ids)
    return Account(
        name=account.name,
        username="" if account.name == account.email_key else account.name,
        created_at=account.created_at,
        # One that is not confirmed is the one that waits.
        email=(account.email_confirmed_at and account.email) or "",
        sessions=(
            replace(_line(owner.session, names), is_this=True),
            *(_line(one, names) for one in others),
        ),
        waiting=await changes.waiting(account.id),
        has_mail=has_mail,
        factors=tuple(_factor(request, one) for one in enrolled.factors),
        codes_left=enrolled.codes_left,
        needs_proof=owner.has_factor and not is_recent(request, owner),
        is_demanded=enrolled.is_demanded,
        has_passkeys=has_passkeys(request),
        has_more=page.onward is not None,
        consents=tuple(_consent(one, names) for one in consents),
    )


def _factor(request: Request, row: Credential) -> FactorLine:
    passkeys = engine_of(request).second_factors.passkeys
    is_passkey = row.kind is CredentialKind.PASSKEY
    return FactorLine(
        id=as_text(row.id),
        is_passkey=is_passkey,
        name=row.label,
        added=row.created_at,
        used=row.used_at,
        is_synced=is_passkey and passkeys.is_synced(row),
    )


async def _consents(request: Request, owner: Owner) -> list[Consent]:
    return await oauth_of(request).consents.of_account(owner.account.id)


async def _names(request: Request, ids: Iterable[str]) -> dict[str, str]:
    """What users know these clients by; nothing for what is ours."""
    names = {}
    for client_id in dict.fromkeys(ids):
        if client_id == FIRST_PARTY.id or client_id.startswith("_"):
            names[client_id] = ""
            continue
        try:
            client = await engine_of(request).clients.get(client_id)
        except NotFound:
            names[client_id] = client_id
        else:
            names[client_id] = name_of(client)
    return names


def _consent(consent: Consent, names: Mapping[str, str]) -> ConsentLine:
    return ConsentLine(
        client=consent.client_id,
        name=names[consent.client_id] or consent.client_id,
        scope=consent.scope,
        resources=consent.resource,
        since=consent.created_at,
        used=consent.used_at,
    )


def _line(session: Session, names: Mapping[str, str]) -> SessionLine:
    return SessionLine(
        id=as_text(session.id),
        client=names.get(session.client_id, ""),
        browser=browser_of(session.user_agent),
        system=system_of(session.user_agent),
        address=session.address,
        since=session.authenticated_at,
        used=session.rotated_at,
    )


SHOW, SUBMIT = page_operations("/account", show, submit)
