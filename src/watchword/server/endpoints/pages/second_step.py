"""GET and POST /second-step: the factor after a right password."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import as_text
from watchword.core.ticket import TicketPurpose
from watchword.errors import (
    ContinuationExpired,
    CsrfRejected,
    InvalidCredentials,
    NotFound,
    SecondFactorInvalid,
    Throttled,
)
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.asking import (
    BINDING,
    WRONG,
    begin_again,
    ceremony_of,
    proof_in,
    way_of,
)
from watchword.server.endpoints.pages.on_the_way import (
    finish,
    on_the_way,
    signed_in_page,
)
from watchword.server.endpoints.pages.visitor import page_request, signed_in
from watchword.server.operation import page_operations
from watchword.server.page_cookies import drop_step, step_in
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.step_views import SecondStep
from watchword.server.pages.views import Fault, Way
from watchword.server.parsing import Form, engine_of, self_service_of
from watchword.server.visitor import visitor_of


@on_the_way
async def show(request: Request) -> Response:
    self_service_of(request)
    try:
        return page_of(request, await _view(request))
    except (ContinuationExpired, NotFound):
        return await _gone(request)


@on_the_way
async def submit(request: Request) -> Response:
    self_service_of(request)
    try:
        return await _submitted(request)
    except (ContinuationExpired, InvalidCredentials, NotFound):
        return await _gone(request)


async def _submitted(request: Request) -> Response:
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        return page_again(request, await _view(request), error)
    if form.get("step") == "drop":
        return see_other(request, "sign-in", drop_step())
    return await _prove(request, form)


async def _prove(request: Request, form: Form) -> Response:
    view = await _view(request, form)
    proof = proof_in(form, view.way)
    if isinstance(proof, Fault):
        return page_of(request, replace(view, faults=(proof,)), status=422)
    try:
        tokens = await engine_of(request).second_factors.second_step.finish(
            step_in(request), proof, binding=BINDING, **page_request(request)
        )
    except (SecondFactorInvalid, Throttled) as error:
        return page_again(request, view, error, wrong=WRONG[view.way])
    return await finish(request, signed_in(request, tokens))


async def _view(request: Request, form: Form | None = None) -> SecondStep:
    """The page. Raises ContinuationExpired, NotFound."""
    engine, ticket = engine_of(request), step_in(request)
    parts = engine.second_factors
    opened, _ = parts.gate.open(TicketPurpose.LOGIN, ticket, BINDING)
    user = opened.authenticated
    account = await engine.accounts.get_by_subject(as_text(user.account_id))
    enrolled = await parts.factors.of(user.account_id, user.roles)
    ways = tuple(map(Way, enrolled.methods))
    if not ways:  # they were removed meanwhile
        raise ContinuationExpired
    way = way_of(request, ways, form)
    ceremony = None
    if way is Way.PASSKEY:
        options = await parts.second_step.passkey_options(ticket, binding=BINDING)
        ceremony = ceremony_of(options)
    return SecondStep(name=account.name, way=way, ways=ways, ceremony=ceremony)


async def _gone(request: Request) -> Response:
    """Nothing to go on with: it has run out, or another tab has finished it."""
    if not step_in(request) and await visitor_of(request) is not None:
        return see_other(request, signed_in_page(request))
    return begin_again(request)


SHOW, SUBMIT = page_operations("/second-step", show, submit)
