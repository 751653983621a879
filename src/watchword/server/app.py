"""The application: the layers that a request passes, in order.

HttpsOnly      only behind a trusted proxy: marks requests that did not come over HTTPS
CorsHeaders    only with allowed origins: lets their pages read the answers
Edge           security headers, access log, the hot endpoints by exact path
CorsPreflight  only with allowed origins: answers what browsers ask before they send
Starlette      every other endpoint
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.types import ASGIApp

from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.metrics.pages import Pages
from watchword.server.access_log import AccessLog
from watchword.server.cors import CorsHeaders, CorsPreflight
from watchword.server.edge import Edge
from watchword.server.endpoints import ENDPOINTS
from watchword.server.endpoints.oauth.metadata import resource_metadata_url
from watchword.server.https import HttpsOnly
from watchword.server.openapi import document
from watchword.server.pages.rendering import check_templates
from watchword.server.routing import routed


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
    openapi = _openapi()
    pages = pages or Pages.alone()
    metrics = pages.page(slot)
    overrides["metrics"] = metrics

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        async with open_watchword(settings, **overrides) as watchword:
            yield {
                "watchword": watchword,
                "resource_metadata": resource_metadata_url(settings),
                "openapi": openapi,
                "pages": "",
                "bound_to": settings.host,
                "metrics": pages,
            }

    application: ASGIApp = routed(ENDPOINTS, lifespan=lifespan)
    origins = settings.cors_origins
    if origins:
        application = CorsPreflight(application, origins)
    application = Edge(application, ENDPOINTS, log=AccessLog(), metrics=metrics)
    if origins:
        application = CorsHeaders(application, origins)
    if settings.behind_proxy:
        application = HttpsOnly(application, settings.behind_proxy, ENDPOINTS)
    return application


@cache
def _openapi() -> bytes:
    """The OpenAPI document of the server: the same for as long as the process lives.

    Making it takes 12 ms, so it is made when the process starts and not by a request.
    """
    return msgspec.json.encode(document(ENDPOINTS))
