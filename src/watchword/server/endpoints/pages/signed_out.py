"""GET /signed-out: after a sign-out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword.server.endpoints.pages.pairs import page_operation
from watchword.server.endpoints.pages.visitor import visitor_of
from watchword.server.page_response import page_of, see_other
from watchword.server.pages.views import SignedOut


async def show(request: Request) -> Response:
    # The page would not be true for a browser that is signed in.
    if await visitor_of(request) is not None:
        return see_other(request, "account")
    return page_of(request, SignedOut())


SHOW = page_operation("/signed-out", show)
