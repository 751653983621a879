"""What surrounds the page of a request: whose service it is, and its language."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from watchword.config import Settings
from watchword.server.pages.language import asked_for, chosen
from watchword.server.pages.rendering import Frame


def frame_of(
    request: Request, settings: Settings, *, locale: str | None = None, token: str = ""
) -> Frame:
    """The frame of a page in the language of the user.

    `locale` is what the account says, where a user is signed in. `token` is that of
    `server/csrf.py`, for a page with a form. Host and service are those of the issuer:
    what stands in a request is a stranger's.
    """
    host = urlsplit(settings.effective_issuer).netloc
    ui_locales = request.query_params.get("ui_locales", "")
    accept_language = request.headers.get("accept-language", "")
    tag = chosen(account=locale, ui_locales=ui_locales, accept_language=accept_language)
    return Frame(
        service=host,
        host=host,
        tag=tag,
        asked=tag if asked_for(ui_locales) == tag else "",
        token=token,
    )
