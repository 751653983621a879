"""GET and POST /prove: a signed-in user proves it anew, and goes on to a change."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import Authenticated
from watchword.errors import (
    ContinuationExpired,
    CsrfRejected,
    InvalidCredentials,
    SecondFactorInvalid,
    SecondFactorRequired,
    Throttled,
)
from watchword.server.csrf import read_page_form
from watchword.server.endpoints.pages.asking import (
    WRONG,
    ceremony_of,
    go_on,
    proof_in,
    way_of,
)
from watchword.server.endpoints.pages.pairs import page_operations
from watchword.server.endpoints.pages.recent import enrolled_of, is_recent
from watchword.server.endpoints.pages.visitor import Visitor, begin, visitor_of
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.step_views import After, Prove
from watchword.server.pages.views import Fault, Reason, Way
from watchword.server.parsing import Form, client_address, engine_of, self_service_of

_PAGES: Final = (After.ADD_APP, After.ADD_PASSKEY)
_EXPIRED: Final = Fault(Reason.EXPIRED)


async def show(request: Request) -> Response:
    visitor = await visitor_of(request)
    if visitor is None:
        return see_other(request, "sign-in")
    enrolled = await enrolled_of(request, visitor)
    if is_recent(request, visitor, enrolled):
        return _then(request)
    view = await _view(request, visitor)
    return page_of(request, view, account=visitor.account.locale)


async def submit(request: Request) -> Response:
    self_service_of(request)
    visitor = await visitor_of(request)
    if visitor is None:
        return see_other(request, "sign-in")
    locale = visitor.account.locale
    try:
        form = await read_page_form(request)
    except CsrfRejected as error:
        view = await _view(request, visitor)
        return page_again(request, view, error, account=locale)
    view = await _view(request, visitor, form)
    try:
        proved = await _proved(request, form, visitor, view.way)
        if isinstance(proved, Fault):
            view = replace(view, faults=(proved,))
            return page_of(request, view, status=422, account=locale)
        cookies = await begin(request, proved)
    except SecondFactorRequired as error:  # demanded, or added, meanwhile
        return go_on(request, error)
    except (InvalidCredentials, SecondFactorInvalid, Throttled) as error:
        wrong = WRONG[view.way]
        return page_again(request, view, error, wrong=wrong, account=locale)
    except ContinuationExpired:
        view = replace(await _view(request, visitor, form), faults=(_EXPIRED,))
        return page_of(request, view, status=422, account=locale)
    return _then(request, *cookies)


async def _proved(
    request: Request, form: Form, visitor: Visitor, way: Way
) -> Authenticated | Fault:
    """Raises InvalidCredentials, SecondFactorInvalid, ContinuationExpired, Throttled.
    """
    step_up, address = (
        engine_of(request).second_factors.step_up,
        client_address(request),
    )
    if way is Way.PASSWORD:
        password = form.get("password")
        if password is None:
            return Fault(Reason.MISSING, "password")
        return await step_up.check(visitor.account.id, password, address=address)
    proof = proof_in(form, way)
    if isinstance(proof, Fault):
        return proof
    return await step_up.check_factor(visitor.session, proof, address=address)


async def _view(
    request: Request, visitor: Visitor, form: Form | None = None
) -> Prove:
    enrolled = await enrolled_of(request, visitor)
    ways = tuple(map(Way, enrolled.methods)) or (Way.PASSWORD,)
    way = way_of(request, ways, form)
    ceremony = None
    if way is Way.PASSKEY:
        step_up = engine_of(request).second_factors.step_up
        ceremony = ceremony_of(await step_up.passkey_options(visitor.session))
    return Prove(
        name=visitor.account.name,
        way=way,
        ways=ways,
        ceremony=ceremony,
        then=_after(request),
    )


def _after(request: Request) -> After:
    given = request.query_params.get("then")
    return next((one for one in After if one == given), After.FACTORS)


def _then(request: Request, *cookies: str) -> Response:
    after = _after(request)
    if after in _PAGES:
        return see_other(request, after.value, *cookies)
    return see_other(request, "account", *cookies, open=after.value)


SHOW, SUBMIT = page_operations("/prove", show, submit)
