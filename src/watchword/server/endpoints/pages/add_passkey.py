"""GET and POST /add-passkey: a signed-in user adds a passkey."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.authorize import EnrolFactor
from watchword.errors import (
    ContinuationExpired,
    CsrfRejected,
    SecondFactorInvalid,
    Throttled,
)
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.adding import added, label_in, passkey_view
from watchword.server.endpoints.pages.asking import WRONG, credential_in
from watchword.server.endpoints.pages.available import has_passkeys, need
from watchword.server.endpoints.pages.on_the_way import leaves, on_the_way
from watchword.server.endpoints.pages.recent import for_owner, is_recent, prove_first
from watchword.server.endpoints.pages.visitor import begin
from watchword.server.operation import page_operations
from watchword.server.page_response import page_again, page_of
from watchword.server.pages.step_views import AddPasskey, After
from watchword.server.pages.views import Fault, Way
from watchword.server.parsing import Form, client_address, engine_of
from watchword.server.visitor import Owner


@on_the_way
@for_owner
async def show(request: Request, owner: Owner) -> Response:
    need(available=has_passkeys(request))
    answer = await leaves(request, owner.session, EnrolFactor)
    if answer is not None:
        return answer
    if not is_recent(request, owner):
        return prove_first(request, After.ADD_PASSKEY)
    view = await _view(request, owner)
    return page_of(request, view, account=owner.account.locale)


@on_the_way
@for_owner
async def submit(request: Request, owner: Owner) -> Response:
    need(available=has_passkeys(request))
    locale = owner.account.locale
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        view = await _view(request, owner)
        return page_again(request, view, error, account=locale)
    if not is_recent(request, owner):
        return prove_first(request, After.ADD_PASSKEY)
    return await _confirm(request, form, owner)


async def _confirm(request: Request, form: Form, owner: Owner) -> Response:
    locale = owner.account.locale
    view = replace(await _view(request, owner), label=label_in(form))
    credential = credential_in(form)
    if isinstance(credential, Fault):
        view = replace(view, faults=(credential,))
        return page_of(request, view, status=422, account=locale)
    step_up = engine_of(request).second_factors.step_up
    try:
        authenticated, codes = await step_up.confirm_passkey(
            owner.session,
            form.get("challenge") or "",
            credential,
            view.label,
            address=client_address(request),
        )
    except (SecondFactorInvalid, ContinuationExpired, Throttled) as error:
        wrong = WRONG[Way.PASSKEY]
        return page_again(request, view, error, wrong=wrong, account=locale)
    begun = await begin(request, authenticated)
    return await added(request, codes, begun, account=locale)


async def _view(request: Request, owner: Owner) -> AddPasskey:
    name = owner.account.name
    step_up = engine_of(request).second_factors.step_up
    options = await step_up.passkey_enrol_options(owner.session, name)
    return passkey_view(request, name, options)


SHOW, SUBMIT = page_operations("/add-passkey", show, submit)
