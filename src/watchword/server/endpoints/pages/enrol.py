"""GET and POST /enrol: the first factor of a user that is not signed in yet.

It is where the policy demands a factor and there is none. The user shows a code of the
mailbox or of an operator, unless the mailbox was shown a moment ago.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import TokenSet, as_text
from watchword.core.ticket import TicketPurpose
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    CsrfRejected,
    InvalidCredentials,
    NotFound,
    SecondFactorInvalid,
    Throttled,
)
from watchword.ports.accounts import Account
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.adding import (
    added,
    app_view,
    label_in,
    passkey_view,
)
from watchword.server.endpoints.pages.asking import (
    BINDING,
    WRONG,
    begin_again,
    credential_in,
)
from watchword.server.endpoints.pages.available import can_send_mail, has_passkeys
from watchword.server.endpoints.pages.on_the_way import (
    beside_the_way,
    keep_waiting,
    on_the_way,
    signed_in_page,
)
from watchword.server.endpoints.pages.visitor import page_request, signed_in
from watchword.server.operation import page_operations
from watchword.server.page_cookies import drop_step, step_in
from watchword.server.page_response import missing, page_again, page_of, see_other
from watchword.server.pages.step_views import Enrol, EnrolElsewhere
from watchword.server.pages.views import Fault, Reason, Way
from watchword.server.parsing import Form, client_address, engine_of, self_service_of
from watchword.server.visitor import visitor_of


class Opened(msgspec.Struct, frozen=True):
    """The sign-in that goes on here: its ticket, and the account."""

    ticket: str
    account: Account


Step: TypeAlias = Callable[[Request, Form, Opened], Awaitable[Response]]


@on_the_way
@beside_the_way
async def show(request: Request) -> Response:
    self_service_of(request)
    try:
        opened = await _opened(request)
        return page_of(request, await _view(request, opened))
    except (ContinuationExpired, NotFound):
        # Not a redirect: the code in the address would go with it.
        return await _elsewhere(request)


@on_the_way
@beside_the_way
async def submit(request: Request) -> Response:
    self_service_of(request)
    try:
        return await _submitted(request)
    except (ContinuationExpired, InvalidCredentials, NotFound):
        if not step_in(request):
            return await _elsewhere(request)
        return begin_again(request)


async def _submitted(request: Request) -> Response:
    opened = await _opened(request)
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, await _view(request, opened), error)
    return await _STEPS.get(form.get("step") or "", _look)(request, form, opened)


async def _opened(request: Request) -> Opened:
    """Raises ContinuationExpired, NotFound."""
    engine, ticket = engine_of(request), step_in(request)
    gate = engine.second_factors.gate
    statement, _ = gate.open(TicketPurpose.ENROL, ticket, BINDING)
    subject = as_text(statement.authenticated.account_id)
    return Opened(ticket, await engine.accounts.get_by_subject(subject))


async def _view(request: Request, opened: Opened, form: Form | None = None) -> Enrol:
    parts = engine_of(request).second_factors
    needs_token = await parts.enrolment.needs_token(opened.ticket, binding=BINDING)
    return Enrol(
        name=opened.account.name,
        asks_token=needs_token,
        token="" if form is None else form.get("token") or "",
        has_mail=can_send_mail(request),
        has_passkeys=has_passkeys(request),
    )


async def _elsewhere(request: Request) -> Response:
    if await visitor_of(request) is not None:
        return see_other(request, signed_in_page(request))
    return page_of(request, EnrolElsewhere())


async def _drop(request: Request, _: Form, __: Opened) -> Response:
    return see_other(request, "sign-in", drop_step())


async def _look(request: Request, form: Form, opened: Opened) -> Response:
    """The code of a link is filled in; nothing is spent."""
    return page_of(request, await _view(request, opened, form))


async def _send(request: Request, _: Form, opened: Opened) -> Response:
    view = await _view(request, opened)
    try:
        await engine_of(request).second_factors.enrolment.ask(
            opened.ticket, binding=BINDING, address=client_address(request)
        )
    except Throttled as error:
        return page_again(request, view, error)
    # Its link opens this page without the interaction.
    view = replace(view, is_sent=True)
    return page_of(request, view, cookies=keep_waiting(request))


async def _begin(request: Request, form: Form, opened: Opened) -> Response:
    """The page of the factor that was chosen, if the code is right."""
    view = await _view(request, opened, form)
    faults = missing(form, token="token") if view.asks_token else ()  # noqa: S106
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    enrolment, name = engine_of(request).second_factors.enrolment, view.name
    address = client_address(request)
    try:
        if form.get("step") == "app":
            pending = await enrolment.begin_totp(
                opened.ticket, view.token, binding=BINDING, address=address
            )
            return page_of(request, app_view(name, pending, is_demanded=True))
        options = await enrolment.begin_passkey(
            opened.ticket, view.token, binding=BINDING, address=address
        )
    except ConfirmationInvalid:
        faults = (Fault(Reason.ENROL_CODE, "token"),)
        return page_of(request, replace(view, token="", faults=faults), status=400)
    except Throttled as error:
        return page_again(request, view, error)
    return page_of(request, passkey_view(request, name, options, is_demanded=True))


async def _confirm_app(request: Request, form: Form, opened: Opened) -> Response:
    parts = engine_of(request).second_factors
    factor, code = form.get("factor") or "", form.get("code")
    pending = parts.totp.again(opened.account.id, factor)
    view = app_view(opened.account.name, pending, is_demanded=True)
    if code is None:
        faults = (Fault(Reason.MISSING, "code"),)
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        tokens, codes = await parts.enrolment.confirm_totp(
            opened.ticket, factor, code, binding=BINDING, **page_request(request)
        )
    except (SecondFactorInvalid, Throttled) as error:
        return page_again(request, view, error, wrong=WRONG[Way.TOTP])
    return await _enrolled(request, tokens, codes)


async def _confirm_passkey(request: Request, form: Form, opened: Opened) -> Response:
    parts = engine_of(request).second_factors
    credential = credential_in(form)
    if isinstance(credential, Fault):
        view = replace(await _view(request, opened), faults=(credential,))
        return page_of(request, view, status=422)
    try:
        tokens, codes = await parts.enrolment.confirm_passkey(
            opened.ticket,
            form.get("challenge") or "",
            credential,
            label_in(form),
            binding=BINDING,
            **page_request(request),
        )
    except (SecondFactorInvalid, Throttled) as error:
        # Its challenge is spent: the choice is made anew.
        view = await _view(request, opened)
        return page_again(request, view, error, wrong=WRONG[Way.PASSKEY])
    return await _enrolled(request, tokens, codes)


async def _enrolled(
    request: Request, tokens: TokenSet, codes: tuple[str, ...]
) -> Response:
    return await added(request, codes, signed_in(request, tokens))


_STEPS: Final[Mapping[str, Step]] = {
    "drop": _drop,
    "send": _send,
    "app": _begin,
    "passkey": _begin,
    "confirm-app": _confirm_app,
    "confirm-passkey": _confirm_passkey,
}

SHOW, SUBMIT = page_operations("/enrol", show, submit)
