"""A request of a client that waits while pages ask: its ticket and its browser.

The ticket is in the parameter `interaction` of the pages. It belongs to the browser
that began it, by a cookie that stays for 30 minutes: a second tab keeps the first one
alive.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.bootstrap.oauth import OAuthParts
from watchword.core import base64url
from watchword.core.authorize import AskConsent, EnrolFactor, ShowError, SignIn, StepUp
from watchword.core.limits import INTERACTION_LIFE, SECOND
from watchword.core.session import Session
from watchword.errors import InteractionExpired, NotFound
from watchword.oauth.authorize import Outcome
from watchword.server.cookies import cookies_named
from watchword.server.page_response import page_of, redirect, see_other
from watchword.server.pages.errors import error_page
from watchword.server.parsing import by_user, engine_of
from watchword.server.waiting import name_of

INTERACTION: Final = "interaction"
"""The parameter of the pages, and of their forms' addresses."""

INTERACTION_COOKIE: Final = "__Host-watchword-interaction"

_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_BYTES: Final = 16
_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)  # 16 bytes in base64url

_PAGES: Final = {
    SignIn: "sign-in",
    StepUp: "prove",
    EnrolFactor: "add-app",
    AskConsent: "consent",
}
"""The page that asks what a verdict wants."""


def oauth_of(request: Request) -> OAuthParts:
    """The authorization server. Raises NotFound in an app with users of its own."""
    found = engine_of(request).oauth
    if found is None:
        raise NotFound
    return found


def interaction_in(request: Request) -> str:
    """The ticket in the address of a page, or ""."""
    return request.query_params.get(INTERACTION, "")


def browser_of(request: Request) -> str:
    """The value of the cookie, or "". Of two cookies neither is believed."""
    found = cookies_named(request, INTERACTION_COOKIE.encode())
    return found[0] if len(found) == 1 and _VALUE.fullmatch(found[0]) else ""


def new_browser(request: Request) -> str:
    """A value for the cookie of a browser that has none."""
    return base64url.encode(engine_of(request).entropy(_BYTES)).decode()


def set_browser(value: str) -> str:
    """`Set-Cookie` that keeps this value for as long as an interaction lasts."""
    age = INTERACTION_LIFE // SECOND
    return f"{INTERACTION_COOKIE}={value}; {_ATTRIBUTES}; Max-Age={age}"


async def go_on_with(request: Request, session: Session, *cookies: str) -> Response:
    """Where a browser goes that has signed in, or has proved more.

    To the client that waits for it, or to the next page on the way there; without an
    interaction to /account. `cookies` are set with the answer, whatever it is.
    """
    interaction = interaction_in(request)
    if not interaction:
        return see_other(request, "account", *cookies)
    try:
        outcome = await oauth_of(request).authorization.go_on(
            interaction, session, browser=browser_of(request), by=by_user(request)
        )
    except InteractionExpired as error:
        return _page(request, error.code, *cookies)
    return answer_of(request, outcome, *cookies)


def answer_of(request: Request, outcome: Outcome, *cookies: str) -> Response:
    """A redirect (303, RFC 9700 §4.12) to the client or a page, or the error page."""
    if outcome.location:
        return redirect(outcome.location, *cookies)
    verdict = outcome.verdict
    if isinstance(verdict, ShowError):
        name = "" if outcome.client is None else name_of(outcome.client)
        return _page(request, verdict.fault.value, *cookies, client=name)
    query = {INTERACTION: outcome.interaction}
    return see_other(request, _PAGES[type(verdict)], *cookies, **query)


def _page(request: Request, code: str, *cookies: str, client: str = "") -> Response:
    request.scope["problem"] = code  # for the access log
    view = error_page(code, 400, 0, engine_of(request).clock())
    view = replace(view, client=client)
    return page_of(request, view, status=400, cookies=cookies)
