"""Litestar, for uvicorn."""

from typing import Any

from litestar import Litestar, Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from tests.integrations.apps.people import check
from watchword.integrations.litestar import Auth


class Look(ASGIMiddleware):
    """As a middleware does that logs bodies."""

    scopes = (ScopeType.HTTP,)

    async def handle(
        self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp
    ) -> None:
        request = Request[Any, Any, Any](scope, receive)
        if "X-Look" in request.headers:
            await request.body()
        await next_app(scope, receive, send)


auth = Auth("sqlite:///app.db", authenticate=check)
app = Litestar(plugins=[auth], middleware=[Look()])
