"""The pages at the end of a session of a browser, also where a client asks for it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.oauth.logout import LogoutOutcome
from watchword.ports.accounts import Account
from watchword.server.csrf import new_form_cookie
from watchword.server.page_response import page_of
from watchword.server.pages.rendering import HEADERS
from watchword.server.pages.views import SignedOut
from watchword.server.parsing import engine_of
from watchword.server.sign_in_cookie import drop_sign_in_cookie


def ask_to_sign_out(
    request: Request, outcome: LogoutOutcome, account: Account
) -> Response:
    """The page that asks whether the user wants what a client has asked for."""
    return page_of(request, SignedOut(name=account.name), account=account.locale)


def after_sign_out(request: Request, outcome: LogoutOutcome) -> Response:
    """Back to the client, if it may say so; otherwise the page that it is done."""
    cookies = drop_sign_in_cookie(), new_form_cookie(engine_of(request).entropy)
    if not outcome.location:
        return page_of(request, SignedOut(), cookies=cookies)
    headers = HEADERS | {"location": outcome.location}
    response = Response(status_code=303, headers=headers)
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response
