"""GET and POST /reset: the link of a message, then a new password."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.one_time_token import TokenPurpose
from watchword.errors import (
    ConfirmationInvalid,
    PasswordRejected,
    Throttled,
)
from watchword.server.endpoints.pages.mailed import submitted
from watchword.server.endpoints.pages.pairs import page_operations
from watchword.server.page_cookies import set_notice
from watchword.server.page_response import missing, page_again, page_of, see_other
from watchword.server.pages.views import Code, Reset, SignInNotice
from watchword.server.parsing import Form, client_address, self_service_of

_CODE = Code(is_reset=True)


async def show(request: Request) -> Response:
    self_service_of(request)
    return page_of(request, _CODE)


async def submit(request: Request) -> Response:
    self_service_of(request)
    return await submitted(request, _CODE, "reset", _looked_at, _reset)


async def _looked_at(request: Request, token: str) -> Reset:
    """What the page asks for this token. It spends nothing."""
    link = await self_service_of(request).links.look(token)
    if link.purpose is not TokenPurpose.RESET:
        raise ConfirmationInvalid
    return Reset(token=token, address=link.address)


async def _reset(request: Request, form: Form, view: Reset) -> Response:
    faults = missing(form, password="password")  # noqa: S106 - an id
    if faults:
        return page_of(request, replace(view, faults=faults), status=422)
    try:
        await self_service_of(request).recovery.reset(
            view.token, form.need("password"), address=client_address(request)
        )
    except (PasswordRejected, Throttled) as error:
        return page_again(request, view, error, "password")
    notice = set_notice(SignInNotice.PASSWORD_CHANGED)
    return see_other(request, "sign-in", notice)


SHOW, SUBMIT = page_operations("/reset", show, submit)
