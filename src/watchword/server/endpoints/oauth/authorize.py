"""GET and POST /oauth/authorize: where a client sends its user (RFC 6749 §3.1)."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.limits import AUTHORIZATION_MAX
from watchword.errors import InvalidRequest
from watchword.server.interacting import answer_of
from watchword.server.operation import page_operations
from watchword.server.page_cookies import browser_in, keep_browser, new_browser
from watchword.server.page_response import look_ahead, redirect
from watchword.server.parsing import (
    by_user,
    engine_of,
    oauth_of,
    pairs_in,
    read_pairs,
)
from watchword.server.sign_in_cookie import browser_session


async def show(request: Request) -> Response:
    server = oauth_of(request).authorization
    # A code is for a user that has come, not for one that might come.
    if (ahead := look_ahead(request)) is not None:
        return ahead
    query: bytes = request.scope["query_string"]
    if len(query) > AUTHORIZATION_MAX:
        raise _too_long()
    session = await browser_session(request)
    browser = browser_in(request) or new_browser(engine_of(request).entropy)
    outcome = await server.begin(
        pairs_in(query), session, browser=browser, by=by_user(request)
    )
    cookies = (keep_browser(browser),) if outcome.interaction else ()
    return answer_of(request, outcome, *cookies)


async def submit(request: Request) -> Response:
    """To the same by GET: a browser sends no cookie with a POST of another site."""
    oauth_of(request)
    query = urlencode(await read_pairs(request))
    if len(query) > AUTHORIZATION_MAX:
        raise _too_long()
    return redirect(f"authorize?{query}")


def _too_long() -> InvalidRequest:
    return InvalidRequest("The request is too long.")


SHOW, SUBMIT = page_operations("/oauth/authorize", show, submit)
