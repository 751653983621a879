"""What surrounds the page of a request: whose service it is, and its language."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from watchword.config import Settings
from watchword.server.pages.language import asked_for, chosen
from watchword.server.pages.rendering import Frame


def frame_of(
    request: Request, settings: Settings, *, account: str | None = None, token: str = ""
) -> Frame:
    """The frame of a page in the language of the user.

    `account` is the locale of the account, where a user is signed in. `token` is that
    of `server/csrf.py`, for a page with a form. Host and service are those of the
    issuer: what stands in a request is a stranger's.
    """
    host = urlsplit(settings.effective_issuer).netloc
    ui_locales = request.query_params.get("ui_locales", "")
    accept_language = request.headers.get("accept-language", "")
    locale = chosen(
        account=account, ui_locales=ui_locales, accept_language=accept_language
    )
    return Frame(
        service=host,
        host=host,
        locale=locale,
        asked=locale if asked_for(ui_locales) == locale else "",
        token=token,
    )
