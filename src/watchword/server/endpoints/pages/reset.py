"""GET and POST /reset: the link of a message, then a new password.

Where the account has a second factor, the same form asks for it: so neither the token
nor the password has to be kept between two pages.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.one_time_token import TokenPurpose
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    PasswordRejected,
    SecondFactorInvalid,
    SecondFactorRequired,
    Throttled,
)
from watchword.factors.proof import FactorProof
from watchword.server.endpoints.pages.asking import (
    BINDING,
    WRONG,
    ceremony_of,
    proof_in,
    way_of,
)
from watchword.server.endpoints.pages.mailed import submitted
from watchword.server.endpoints.pages.on_the_way import beside_the_way
from watchword.server.operation import page_operations
from watchword.server.page_cookies import set_notice
from watchword.server.page_response import missing, page_again, page_of, see_other
from watchword.server.pages.faults import CREDENTIALS
from watchword.server.pages.views import (
    Code,
    Fault,
    Reason,
    Reset,
    SignInNotice,
    Way,
)
from watchword.server.parsing import Form, client_address, engine_of, self_service_of

_CODE = Code(is_reset=True)
_EXPIRED: Final = Fault(Reason.EXPIRED)


@beside_the_way
async def show(request: Request) -> Response:
    self_service_of(request)
    return page_of(request, _CODE)


@beside_the_way
async def submit(request: Request) -> Response:
    self_service_of(request)
    return await submitted(request, _CODE, "reset", _looked_at, _reset)


async def _looked_at(request: Request, form: Form) -> Reset:
    """What the page asks for the token of the form. It spends nothing."""
    service, token = self_service_of(request), form.need("token")
    link = await service.links.look(token)
    if link.purpose is not TokenPurpose.RESET:
        raise ConfirmationInvalid
    view = Reset(token=token, address=link.address)
    asked = await service.recovery.second_step(token, address=client_address(request))
    ways = () if asked is None else tuple(map(Way, asked.methods))
    if asked is None or not ways:
        return view
    way = way_of(request, ways, form)
    ceremony = None
    if way is Way.PASSKEY:
        options = await engine_of(request).second_factors.second_step.passkey_options(
            asked.continuation, binding=BINDING
        )
        ceremony = ceremony_of(options)
    return replace(
        view, way=way, ways=ways, ceremony=ceremony, continuation=asked.continuation
    )


async def _reset(request: Request, form: Form, view: Reset) -> Response:
    proof: FactorProof | Fault | None = None
    if view.way is not None:
        proof = proof_in(form, view.way)
    faults = missing(form, password="password")  # noqa: S106 - an id
    if isinstance(proof, Fault):
        faults, proof = (*faults, proof), None
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        await self_service_of(request).recovery.reset(
            view.token,
            form.need("password"),
            continuation=form.get("continuation") or "",
            proof=proof,
            address=client_address(request),
        )
    except (PasswordRejected, SecondFactorInvalid, Throttled) as error:
        wrong = CREDENTIALS if view.way is None else WRONG[view.way]
        return page_again(request, view, error, "password", wrong=wrong)
    except (SecondFactorRequired, ContinuationExpired):
        # A factor was added meanwhile, or the page was open for too long.
        view = replace(await _looked_at(request, form), faults=(_EXPIRED,))
        return page_of(request, view, status=422)
    notice = set_notice(SignInNotice.PASSWORD_CHANGED)
    return see_other(request, "sign-in", notice)


SHOW, SUBMIT = page_operations("/reset", show, submit)
