"""A request of a client that waits while pages ask: its ticket and its browser.

The ticket is in the parameter `interaction` of the pages. It belongs to the browser
that began it, by a cookie that stays for 30 minutes: a second tab keeps the first one
alive.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from watchword.core.session import Session
from watchword.oauth.authorize import Outcome

INTERACTION: Final = "interaction"
"""The parameter of the pages, and of their forms' addresses."""

INTERACTION_COOKIE: Final = "__Host-watchword-interaction"


def interaction_in(request: Request) -> str:
    """The ticket in the address of a page, or ""."""
    return request.query_params.get(INTERACTION, "")


def browser_of(request: Request) -> str:
    """The value of the cookie, or ""."""
    raise NotImplementedError


async def go_on_with(request: Request, session: Session, *cookies: str) -> Response:
    """Where a browser goes that has signed in, or has proved more.

    To the client that waits for it, or to the next page on the way there; without an
    interaction to /account. `cookies` are set with the answer.
    """
    raise NotImplementedError


def answer_of(request: Request, outcome: Outcome, *cookies: str) -> Response:
    """A redirect (303, RFC 9700 §4.12) to the client or a page, or the error page."""
    raise NotImplementedError
