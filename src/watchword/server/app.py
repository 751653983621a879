"""The application: the layers that a request passes, in order.

ByListener     only with an admin listener: which of both the request came by
HttpsOnly      only behind a trusted proxy: marks requests that did not come over HTTPS
CorsHeaders    only with allowed origins: lets their pages read the answers
Edge           security headers, access log, the hot endpoints by exact path
CorsPreflight  only with allowed origins: answers what browsers ask before they send
Starlette      every other endpoint

The admin listener has no Cors layers, and HttpsOnly for what was passed on to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache, partial
from typing import Any, Final, TypeAlias

import msgspec
from starlette.applications import Starlette
from starlette.types import ASGIApp

from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.metrics.pages import Pages
from watchword.server.access_log import AccessLog
from watchword.server.cors import CorsHeaders, CorsPreflight
from watchword.server.edge import Edge
from watchword.server.endpoints import (
    AT_ADMIN_LISTENER,
    BESIDE_ADMIN_LISTENER,
    ENDPOINTS,
)
from watchword.server.endpoints.oauth.metadata import resource_metadata_url
from watchword.server.https import HttpsOnly
from watchword.server.listeners import ByListener
from watchword.server.openapi import document
from watchword.server.operation import Operation
from watchword.server.pages.rendering import check_templates
from watchword.server.routing import routed

Operations: TypeAlias = tuple[Operation, ...]

_SERVED: Final[Mapping[str, Operations]] = {
    "all": ENDPOINTS,
    "main": BESIDE_ADMIN_LISTENER,
    "admin": AT_ADMIN_LISTENER,
}
"""What a listener serves: the only one, or one of both."""


def make_app(
    settings: Settings,
    pages: Pages | None = None,
    slot: int = 0,
    **overrides: Any,  # noqa: ANN401
) -> ASGIApp:
    """The application for uvicorn. `overrides` go to `open_watchword` (tests).

    `pages` are shared by all processes of a server; `slot` is the page of this one.
    Raises SettingsError for a template of a page that is wrong.
    """
    check_templates(settings.templates)
    listener = settings.admin_listen
    served = "all" if listener is None else "main"
    operations = _SERVED[served]
    pages = pages or Pages.alone()
    metrics = pages.page(slot)
    overrides["metrics"] = metrics
    state: dict[str, object] = {
        "resource_metadata": resource_metadata_url(settings),
        "openapi": _openapi(served),
        "pages": "",
        "bound_to": settings.host,
        "metrics": pages,
    }
    if listener is not None:
        state["admin_openapi"] = _openapi("admin")

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        async with open_watchword(settings, **overrides) as watchword:
            yield {"watchword": watchword, **state}

    edge = partial(
        Edge, log=AccessLog(as_json=settings.log_format == "json"), metrics=metrics
    )
    main = _main(settings, routed(operations, lifespan=lifespan), operations, edge)
    if listener is None:
        return main
    admin: ASGIApp = edge(routed(AT_ADMIN_LISTENER), AT_ADMIN_LISTENER)
    passed_on = _behind_proxy(settings, admin, AT_ADMIN_LISTENER)
    return ByListener(main, admin, passed_on, listener)


def _main(
    settings: Settings,
    application: ASGIApp,
    operations: Operations,
    edge: Callable[[ASGIApp, Operations], Edge],
) -> ASGIApp:
    """The application of the main listener, with all layers around the endpoints."""
    origins = settings.cors_origins
    if origins:
        application = CorsPreflight(application, origins)
    application = edge(application, operations)
    if origins:
        application = CorsHeaders(application, origins)
    return _behind_proxy(settings, application, operations)


def _behind_proxy(
    settings: Settings, application: ASGIApp, operations: Operations
) -> ASGIApp:
    if not settings.behind_proxy:
        return application
    return HttpsOnly(application, settings.behind_proxy, operations)


@cache
def _openapi(served: str) -> bytes:
    """The OpenAPI document of a listener, for as long as the process lives.

    Making it takes 12 ms, so it is made when the process starts and not by a request.
    """
    return msgspec.json.encode(document(_SERVED[served]))
