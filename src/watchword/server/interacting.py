"""What comes next for a browser that a client has sent here."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from watchword.core.authorize import AskConsent, EnrolFactor, ShowError, SignIn, StepUp
from watchword.oauth.authorize import Outcome
from watchword.server.page_response import page_of, redirect, see_other
from watchword.server.pages.errors import error_page
from watchword.server.parsing import engine_of
from watchword.server.request_ids import REQUEST_ID
from watchword.server.waiting import INTERACTION, name_of

_PAGES: Final = {
    SignIn: "sign-in",
    StepUp: "prove",
    EnrolFactor: "add-app",
    AskConsent: "consent",
}
"""The page that asks what a verdict wants."""


def answer_of(request: Request, outcome: Outcome, *cookies: str) -> Response:
    """A redirect (303, RFC 9700 §4.12) to the client or a page, or the error page."""
    if outcome.location:
        return redirect(outcome.location, *cookies)
    verdict = outcome.verdict
    if isinstance(verdict, ShowError):
        code = request.scope["problem"] = verdict.fault.value  # for the access log
        view = error_page(code, 400, 0, engine_of(request).clock())
        client = "" if outcome.client is None else name_of(outcome.client)
        named = request.scope.get(REQUEST_ID, "")
        view = replace(view, client=client, request_id=named)
        return page_of(request, view, status=400, cookies=cookies)
    query = {INTERACTION: outcome.interaction}
    return see_other(request, _PAGES[type(verdict)], *cookies, **query)
