"""GET and POST /add-app: a signed-in user adds an authenticator app."""

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
from watchword.server.endpoints.pages.adding import added, app_view
from watchword.server.endpoints.pages.asking import WRONG
from watchword.server.endpoints.pages.available import has_passkeys
from watchword.server.endpoints.pages.on_the_way import leaves, on_the_way
from watchword.server.endpoints.pages.recent import for_owner, is_recent, prove_first
from watchword.server.endpoints.pages.visitor import begin
from watchword.server.operation import page_operations
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.step_views import After
from watchword.server.pages.views import Fault, Reason, Way
from watchword.server.parsing import Form, client_address, engine_of
from watchword.server.visitor import Owner
from watchword.server.waiting import waiting_in


@on_the_way
@for_owner
async def show(request: Request, owner: Owner) -> Response:
    answer = await leaves(request, owner.session, EnrolFactor)
    if answer is not None:
        return answer
    if not is_recent(request, owner):
        return prove_first(request, After.ADD_APP)
    name = owner.account.name
    pending = engine_of(request).second_factors.totp.begin(owner.account.id, name)
    view = app_view(name, pending)
    if waiting_in(request) is not None:  # no page has offered the choice
        view = replace(view, has_passkeys=has_passkeys(request))
    return page_of(request, view, account=owner.account.locale)


@on_the_way
@for_owner
async def submit(request: Request, owner: Owner) -> Response:
    try:
        form = await read_page_form(request)
    except CsrfRejected:
        # Of this browser's earlier sign-in: a new secret, and nothing is lost.
        return see_other(request, "add-app")
    if not is_recent(request, owner):
        return prove_first(request, After.ADD_APP)
    try:
        return await _confirm(request, form, owner)
    except ContinuationExpired:  # ten minutes are over
        return see_other(request, "add-app")


async def _confirm(request: Request, form: Form, owner: Owner) -> Response:
    parts, locale = engine_of(request).second_factors, owner.account.locale
    factor, code = form.get("factor") or "", form.get("code")
    pending = parts.totp.again(owner.account.id, factor)
    view = app_view(owner.account.name, pending)
    if code is None:
        view = replace(view, faults=(Fault(Reason.MISSING, "code"),))
        return page_of(request, view, status=422, account=locale)
    try:
        authenticated, codes = await parts.step_up.confirm_totp(
            owner.session, factor, code, address=client_address(request)
        )
    except (SecondFactorInvalid, Throttled) as error:
        wrong = WRONG[Way.TOTP]
        return page_again(request, view, error, wrong=wrong, account=locale)
    begun = await begin(request, authenticated)
    return await added(request, codes, begun, account=locale)


SHOW, SUBMIT = page_operations("/add-app", show, submit)
