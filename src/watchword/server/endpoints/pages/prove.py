"""GET and POST /prove: a signed-in user gives a new proof, and goes on to a change."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.authorize import StepUp
from watchword.core.session import Authenticated
from watchword.errors import (
    ContinuationExpired,
    CsrfRejected,
    InvalidCredentials,
    SecondFactorInvalid,
    SecondFactorRequired,
    Throttled,
)
from watchword.factors.proof import FactorProof
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.asking import (
    WRONG,
    ceremony_of,
    go_on,
    proof_in,
    way_of,
)
from watchword.server.endpoints.pages.on_the_way import finish, leaves, on_the_way
from watchword.server.endpoints.pages.recent import for_owner, is_recent
from watchword.server.endpoints.pages.visitor import Begun, begin
from watchword.server.operation import page_operations
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.step_views import After, Prove
from watchword.server.pages.views import Fault, Reason, Way
from watchword.server.parsing import Form, client_address, engine_of
from watchword.server.returning import place_in
from watchword.server.visitor import Owner
from watchword.server.waiting import waiting_in

_PAGES: Final = (After.ADD_APP, After.ADD_PASSKEY)


@on_the_way
@for_owner
async def show(request: Request, owner: Owner) -> Response:
    if _after(request) is None and not place_in(request):
        answer = await leaves(request, owner.session, StepUp)
        if answer is not None:
            return answer
    elif is_recent(request, owner):
        return await _then(request, Begun(owner.session, ()))
    view = await _view(request, owner)
    return page_of(request, view, account=owner.account.locale)


@on_the_way
@for_owner
async def submit(request: Request, owner: Owner) -> Response:
    locale = owner.account.locale
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        view = await _view(request, owner)
        return page_again(request, view, error, account=locale)
    view = await _view(request, owner, form)
    fault = _missing(form, view.way)
    if fault is None:
        try:
            proved = await _proved(request, form, owner, view.way)
            return await _then(request, await begin(request, proved))
        except SecondFactorRequired as error:  # demanded, or added, meanwhile
            return go_on(request, error)
        except (
            InvalidCredentials,
            SecondFactorInvalid,
            ContinuationExpired,
            Throttled,
        ) as error:
            wrong = WRONG[view.way]
            return page_again(request, view, error, wrong=wrong, account=locale)
    return page_of(request, replace(view, faults=(fault,)), status=422, account=locale)


def _missing(form: Form, way: Way) -> Fault | None:
    """What the form lacks."""
    if way is Way.PASSWORD:
        is_there = form.get("password") is not None
        return None if is_there else Fault(Reason.MISSING, "password")
    proof = proof_in(form, way)
    return proof if isinstance(proof, Fault) else None


async def _proved(
    request: Request, form: Form, owner: Owner, way: Way
) -> Authenticated:
    """The user of the session, by what is in a form that is complete.

    Raises InvalidCredentials, SecondFactorInvalid, ContinuationExpired, Throttled.
    """
    step_up = engine_of(request).second_factors.step_up
    address = client_address(request)
    proof = None if way is Way.PASSWORD else proof_in(form, way)
    if isinstance(proof, FactorProof):
        return await step_up.check_factor(owner.session, proof, address=address)
    password = form.need("password")
    return await step_up.check(owner.account.id, password, address=address)


async def _view(request: Request, owner: Owner, form: Form | None = None) -> Prove:
    ways = tuple(map(Way, owner.enrolled.methods)) or (Way.PASSWORD,)
    way = way_of(request, ways, form)
    ceremony = None
    if way is Way.PASSKEY:
        step_up = engine_of(request).second_factors.step_up
        ceremony = ceremony_of(await step_up.passkey_options(owner.session))
    return Prove(
        name=owner.account.name,
        way=way,
        ways=ways,
        ceremony=ceremony,
        then=_after(request),
    )


def _after(request: Request) -> After | None:
    """Where the user goes on.

    None for the client that waits for the proof itself, and back to the console.
    """
    given = request.query_params.get("then")
    if place_in(request) or (given is None and waiting_in(request) is not None):
        return None
    return next((one for one in After if one == given), After.FACTORS)


async def _then(request: Request, begun: Begun) -> Response:
    after = _after(request)
    if after is None:
        return await finish(request, begun)
    if after in _PAGES:
        return see_other(request, after.value, *begun.cookies)
    return see_other(request, "account", *begun.cookies, open=after.value)


SHOW, SUBMIT = page_operations("/prove", show, submit)
