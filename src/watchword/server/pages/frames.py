"""What surrounds the page of a request: whose service it is, and its language."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from watchword.config import Settings
from watchword.server.pages.language import asked_for, chosen
from watchword.server.pages.rendering import Frame
from watchword.server.returning import is_below, place_in
from watchword.server.waiting import name_of, waiting_in

_BELOW: Final = ("/oauth/authorize", "/oauth/logout")
"""Endpoints that show pages and are themselves one segment below the pages."""


def frame_of(
    request: Request,
    settings: Settings,
    *,
    account: str | None = None,
    token: str = "",
    keeps: bool = False,
) -> Frame:
    """The frame of a page in the language of the user.

    `account` is the locale of the account, where a user is signed in. `token` is that
    of `server/csrf.py`, for a page with a form. Host and service are those of the
    issuer: what stands in a request is a stranger's. So links of pages below endpoints
    keep the query of a request only if `keeps` says that it was found to be right.
    """
    host = urlsplit(settings.effective_issuer).netloc
    locale = locale_of(request, account=account)
    asked = request.query_params.get("ui_locales", "")
    waiting = waiting_in(request)
    path = request.scope["path"]
    below = path.endswith(_BELOW) or is_below(path)
    of_client = (
        {}
        if waiting is None
        else {
            "interaction": waiting.ticket,
            "client": name_of(waiting.client),
            "returns_to": waiting.host,
            "home": waiting.home,
        }
    )
    return Frame(
        service=settings.effective_service_name,
        host=host,
        locale=locale,
        asked=locale if asked_for(asked) == locale else "",
        token=token,
        up="../" if below else "",
        query=str(request.query_params) if keeps or not below else "",
        then=place_in(request),
        **of_client,
    )


def locale_of(request: Request, *, account: str | None = None) -> str:
    """The language of the user: what was asked for here, the account's, the request's.

    Of the request it is that of the client that waits, or else the browser's.
    """
    waiting = waiting_in(request)
    return chosen(
        address=request.query_params.get("ui_locales", ""),
        account=account,
        ui_locales="" if waiting is None else waiting.request.ui_locales,
        accept_language=request.headers.get("accept-language", ""),
    )
