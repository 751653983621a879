"""GET and POST /signed-out: ends the session of this browser, and what goes with it.

`/oauth/logout` shows the same pages. Where it has to ask first, the request of the
client comes back in the field `logout` of the form.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.core import redirect_uri
from watchword.errors import CsrfRejected
from watchword.oauth.logout import LogoutOutcome
from watchword.server.csrf import new_form_cookie, read_page_form
from watchword.server.endpoints.pages.pairs import page_operations
from watchword.server.endpoints.pages.visitor import visitor_of
from watchword.server.page_response import page_again, page_of, see_other
from watchword.server.pages.rendering import HEADERS
from watchword.server.pages.views import SignedOut
from watchword.server.parsing import Form, by_user, engine_of, self_service_of
from watchword.server.sign_in_cookie import drop_sign_in_cookie, sign_in_cookie
from watchword.server.waiting import home_of, name_of


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
        form = await read_page_form(request)
    except CsrfRejected as error:
        visitor = await visitor_of(request)
        if visitor is None:
            return page_of(request, SignedOut())
        view = SignedOut(name=visitor.account.name)
        return page_again(request, view, error, account=visitor.account.locale)
    if form.get("logout") is not None:
        return await _confirmed(request, form)
    await browser.end(sign_in_cookie(request), by=by_user(request))
    return see_other(request, "signed-out", *_cookies(request))


async def _confirmed(request: Request, form: Form) -> Response:
    parts, visitor = engine_of(request).oauth, await visitor_of(request)
    assert parts is not None  # noqa: S101 - it is there where accounts are
    outcome = await parts.logout.confirmed(
        form.need("logout"),
        None if visitor is None else visitor.session,
        by=by_user(request),
    )
    return after_sign_out(request, outcome)


async def ask_to_sign_out(request: Request, outcome: LogoutOutcome) -> Response:
    """The page that asks whether the user wants what a client has asked for."""
    visitor, client = await visitor_of(request), outcome.client
    if visitor is None:  # ended a moment ago
        return after_sign_out(request, outcome)
    view = SignedOut(
        name=visitor.account.name,
        client="" if client is None else name_of(client),
        ticket=outcome.ticket,
    )
    source = redirect_uri.source_of(outcome.location) if outcome.location else ""
    return page_of(request, view, account=visitor.account.locale, form_action=source)


def after_sign_out(request: Request, outcome: LogoutOutcome) -> Response:
    """Back to the client, if it may say so; otherwise the page that it is done."""
    cookies = _cookies(request)
    if outcome.location:
        headers = HEADERS | {"location": outcome.location}
        response = Response(status_code=303, headers=headers)
        for cookie in cookies:
            response.headers.append("set-cookie", cookie)
        return response
    client = outcome.client
    uris = () if client is None else client.redirect_uris
    view = SignedOut(
        client="" if client is None else name_of(client),
        home=next(filter(None, map(home_of, uris)), ""),
        is_faulty=outcome.is_faulty,
    )
    return page_of(request, view, cookies=cookies)


def _cookies(request: Request) -> tuple[str, str]:
    """They end the session of the browser, and the forms that are open."""
    return drop_sign_in_cookie(), new_form_cookie(engine_of(request).entropy)


SHOW, SUBMIT = page_operations("/signed-out", show, submit)
