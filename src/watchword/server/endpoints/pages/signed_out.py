"""GET and POST /signed-out: ends the session of this browser."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import CsrfRejected
from watchword.server.csrf import new_form_cookie, read_page_form
from watchword.server.endpoints.pages.pairs import page_operations
from watchword.server.endpoints.pages.visitor import visitor_of
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.views import SignedOut
from watchword.server.parsing import by_user, engine_of, self_service_of
from watchword.server.sign_in_cookie import drop_sign_in_cookie, sign_in_cookie


async def show(request: Request) -> Response:
    visitor = await visitor_of(request)
    if visitor is None:
        return page_of(request, SignedOut())
    # It would not be true yet: so the page asks.
    view = SignedOut(name=visitor.account.name)
    return page_of(request, view, account=visitor.account.locale)


async def submit(request: Request) -> Response:
    browser = self_service_of(request).browser
    try:
        await read_page_form(request)
    except CsrfRejected as error:
        visitor = await visitor_of(request)
        if visitor is None:
            return page_of(request, SignedOut())
        view = SignedOut(name=visitor.account.name)
        return page_again(request, view, error, account=visitor.account.locale)
    await browser.end(sign_in_cookie(request), by=by_user(request))
    form_cookie = new_form_cookie(engine_of(request).entropy)
    return see_other(request, "signed-out", drop_sign_in_cookie(), form_cookie)


SHOW, SUBMIT = page_operations("/signed-out", show, submit)
