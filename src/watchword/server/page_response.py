"""The answer to a request for a page: the view as HTML, with what its forms need."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.csrf import form_token
from watchword.server.pages.frames import frame_of
from watchword.server.pages.rendering import HEADERS, HTML, render
from watchword.server.pages.views import View
from watchword.server.parsing import engine_of


def page_of(
    request: Request, view: View, *, status: int = 200, account: str | None = None
) -> Response:
    """The page, in the language of the request or of the account, if it has one.

    It sets the cookie that its forms need, where the browser has none.
    """
    engine = engine_of(request)
    proof = form_token(request, engine.entropy)
    frame = frame_of(request, engine.settings, account=account, token=proof.token)
    response = Response(render(view, frame), status, HEADERS, HTML)
    if proof.set_cookie:
        response.headers.append("set-cookie", proof.set_cookie)
    return response
