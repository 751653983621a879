"""GET and POST /signed-out: ends the session of this browser, and what goes with it.

`/oauth/logout` shows the same pages. Where it has to ask first, the request of the
client comes back in the field `logout` of the form.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.errors import CsrfRejected
from watchword.oauth.logout import LogoutOutcome
from watchword.server.csrf import check_page_form
from watchword.server.operation import page_operations
from watchword.server.page_response import page_of, see_other
from watchword.server.pages.client_views import SignedOut
from watchword.server.parsing import (
    Form,
    by_user,
    oauth_of,
    read_form,
    self_service_of,
)
from watchword.server.sign_in_cookie import sign_in_cookie
from watchword.server.signing_out import (
    after_sign_out,
    ask_to_sign_out,
    sign_in_of,
    signed_out_cookies,
)
from watchword.server.visitor import visitor_of


async def show(request: Request) -> Response:
    visitor = await visitor_of(request)
    if visitor is None:
        return page_of(request, SignedOut())
    # It would not be true yet: so the page asks.
    outcome = LogoutOutcome(asks=True)
    return await ask_to_sign_out(request, outcome, visitor.session, visitor.account)


async def submit(request: Request) -> Response:
    browser = self_service_of(request).browser
    form = await read_form(request)
    try:
        check_page_form(request, form)
    except CsrfRejected as error:
        visitor = await visitor_of(request)
        if visitor is None:
            return page_of(request, SignedOut())
        # The next answer still leads to the client.
        outcome = await oauth_of(request).logout.asked(form.get("logout") or "")
        return await ask_to_sign_out(
            request, outcome, visitor.session, visitor.account, error
        )
    if form.get("logout") is not None:
        return await _confirmed(request, form)
    await browser.end(sign_in_cookie(request), by=by_user(request))
    return see_other(request, "signed-out", *signed_out_cookies(request))


async def _confirmed(request: Request, form: Form) -> Response:
    session, lapsed = await sign_in_of(request)
    outcome = await oauth_of(request).logout.confirmed(
        form.need("logout"), session or lapsed, by=by_user(request)
    )
    return after_sign_out(request, outcome)


SHOW, SUBMIT = page_operations("/signed-out", show, submit)
