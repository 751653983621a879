"""The application: the layers that a request passes, in order, and the routes.

HttpsOnly      only behind a trusted proxy: marks requests that did not come over HTTPS
CorsHeaders    only with allowed origins: lets their pages read the answers
Edge           security headers, access log, the hot routes by exact path
CorsPreflight  only with allowed origins: answers what browsers ask before they send
Starlette      every other route
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan

from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.errors import NotFound, WatchwordError
from watchword.server.cors import CorsHeaders, CorsPreflight
from watchword.server.edge import Edge, Endpoint
from watchword.server.endpoints import (
    browser_module,
    discovery,
    docs,
    health,
    home,
    introspect,
    login,
    logout,
    metadata,
    refresh,
    revocations,
    revoke,
    secure,
    sessions,
    token,
)
from watchword.server.https import HttpsOnly
from watchword.server.openapi import Operation
from watchword.server.problems import Internal, MethodNotAllowed, respond

ENDPOINTS: Final[list[tuple[Operation, Endpoint]]] = [
    (login.OPERATION, login.login),
    (secure.SECURE, secure.secure),
    (refresh.OPERATION, refresh.refresh),
    (logout.LOGOUT, logout.logout),
    (logout.LOGOUT_ALL, logout.logout_all),
    (secure.ME, secure.me),
    (sessions.LIST, sessions.list_sessions),
    (sessions.END, sessions.end_session),
    (token.OPERATION, token.token),
    (revoke.OPERATION, revoke.revoke),
    (introspect.OPERATION, introspect.introspect),
    (revocations.OPERATION, revocations.revocations),
    (health.HEALTH, health.healthz),
    (health.READY, health.readyz),
    (discovery.JWKS, discovery.jwks),
    (metadata.SERVER, metadata.server),
    (metadata.OPENID, metadata.server),
    (metadata.RESOURCE, metadata.resource),
]
OPERATIONS: Final = [operation for operation, _ in ENDPOINTS]

# These bypass Starlette: its routing and layers were measured to cost a refresh 5 %.
HOT: Final = {
    (operation.method, operation.path): endpoint
    for operation, endpoint in ENDPOINTS
    if operation in (refresh.OPERATION, secure.SECURE, token.OPERATION)
}


def make_app(settings: Settings, **overrides: Any) -> ASGIApp:  # noqa: ANN401
    """The application for uvicorn. `overrides` go to `open_watchword` (tests)."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        async with open_watchword(settings, **overrides) as watchword:
            yield {
                "watchword": watchword,
                "resource_metadata": metadata.resource_metadata_url(settings),
            }

    discovery.openapi_document()  # made now, not by the first request
    published = [
        Route("/", home.home, methods=["GET"]),
        Route("/openapi.json", discovery.openapi, methods=["GET"]),
        Route("/docs", docs.docs, methods=["GET"]),
        Route("/docs/{name}", docs.docs_file, methods=["GET"]),
        Route("/watchword.js", browser_module.script, methods=["GET"]),
        Route("/watchword.d.ts", browser_module.types, methods=["GET"]),
    ]
    routed = routing(ENDPOINTS, published, lifespan=lifespan)
    origins = settings.cors_origins
    application: ASGIApp = Edge(
        CorsPreflight(routed, origins) if origins else routed, HOT
    )
    if origins:
        application = CorsHeaders(application, origins)
    if settings.behind_proxy:
        application = HttpsOnly(application, settings.behind_proxy)
    return application


def routing(
    endpoints: Iterable[tuple[Operation, Endpoint]],
    more: Iterable[Route] = (),
    *,
    lifespan: Lifespan[Starlette] | None = None,
) -> Starlette:
    """An application that routes to these endpoints and answers their errors.

    The scope of each request must have the engine: `scope["state"]["watchword"]`.
    """
    routes = [
        Route(operation.path, endpoint, methods=[operation.method])
        for operation, endpoint in endpoints
    ]
    # The issuer's path comes after the well-known one (RFC 8414 §3.1, RFC 9728 §3.1).
    routes += [
        Route(f"{metadata.SERVER_PATH}/{{path:path}}", metadata.server),
        Route(f"{metadata.OPENID_PATH}/{{path:path}}", metadata.server),
        Route(f"{metadata.RESOURCE_PATH}/{{path:path}}", metadata.resource),
        Route(metadata.RESOURCE_PATH, metadata.resource),
    ]
    routed = Starlette(
        routes=[*routes, *more],
        lifespan=lifespan,
        exception_handlers={
            WatchwordError: _failed,
            HTTPException: _not_routed,
            # Named here, because Starlette raises an error again, and logs it, if only
            # the handler of `Exception` catches it.
            ClientDisconnect: _failed,
            Exception: _failed,
        },
    )
    # Starlette would redirect a path with a slash too many to the host that the Host
    # header names.
    routed.router.redirect_slashes = False
    return routed


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # the client has gone and will not read it
    response = respond(error, request.scope)
    request.scope["problem"] = getattr(response, "code", "-")
    return response


async def _not_routed(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    ours = {404: NotFound, 405: MethodNotAllowed}.get(status, Internal)
    response = await _failed(request, ours())
    allowed = (getattr(error, "headers", None) or {}).get("Allow")
    if allowed:
        response.headers["allow"] = allowed
    return response
