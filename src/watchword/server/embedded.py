"""The same endpoints inside another application, by the paths that they have here.

The host keeps its routes, log, health checks, CORS and documentation; these paths alone
are answered here, whole, errors too. Who embeds routes `PATHS` to an `Embedded`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.bootstrap import Watchword
from watchword.config import Settings, is_loopback
from watchword.errors import SettingsError, WatchwordError
from watchword.server.app import ENDPOINTS, HOT, routing
from watchword.server.edge import Edge
from watchword.server.endpoints import browser_module, health, metadata
from watchword.server.https import HttpsOnly
from watchword.server.openapi import document
from watchword.server.problems import HttpsRequired

_ENDPOINTS: Final = [
    (operation, endpoint)
    for operation, endpoint in ENDPOINTS
    if operation not in (health.HEALTH, health.READY)
]
OPERATIONS: Final = [operation for operation, _ in _ENDPOINTS]
_FILES: Final = [
    Route("/watchword.js", browser_module.script, methods=["GET"]),
    Route("/watchword.d.ts", browser_module.types, methods=["GET"]),
]
# The well-known ones also with the issuer's path behind them.
PATHS: Final = [
    *dict.fromkeys(operation.path for operation in OPERATIONS),
    f"{metadata.SERVER_PATH}/{{path:path}}",
    f"{metadata.OPENID_PATH}/{{path:path}}",
    f"{metadata.RESOURCE_PATH}/{{path:path}}",
    metadata.RESOURCE_PATH,
    *(file.path for file in _FILES),
]
_log: Final = logging.getLogger("watchword.server")


class _Slashes(Convertor[str]):
    """The slashes at the end of a path, which no path of ours has."""

    regex = "/+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("watchword_slashes", _Slashes())


def routes_to(application: ASGIApp) -> list[Route]:
    """Routes of Starlette for `PATHS`, and for these with slashes behind them.

    Without the latter a host would redirect such a request, body and all, to the scheme
    that it believes it is served by: behind a proxy that is plain HTTP. It gets the 404
    that the server answers.
    """
    whole = [path for path in PATHS if ":path" not in path]
    slashed = [f"{path}{{slashes:watchword_slashes}}" for path in whole]
    endpoint: Any = application  # a route may be an ASGI application
    return [
        Route(path, endpoint, include_in_schema=False) for path in [*PATHS, *slashed]
    ]


class Embedded:
    """An ASGI application for the paths of `PATHS`; `engine` gives what runs then.

    `served_at` is told of every request, before it is answered.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Callable[[], Watchword],
        served_at: Callable[[Scope], None],
    ) -> None:
        self._engine = engine
        self._served_at = served_at
        self.metadata = metadata.resource_metadata_url(settings)
        routed = routing(_ENDPOINTS, _FILES)
        application: ASGIApp = Edge(routed, HOT, logged=False)
        if settings.behind_proxy:
            application = HttpsOnly(application, settings.behind_proxy)
        else:
            application = _Careful(application, settings)
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._served_at(scope)
        # The host may be mounted below a path; the issuer then names that place.
        root: str = scope.get("root_path", "")
        inside = {
            **scope,
            "path": scope["path"].removeprefix(root),
            "root_path": "",
            "client": scope.get("client"),
            "state": {
                "watchword": self._engine(),
                "resource_metadata": self.metadata,
            },
        }
        await self._application(inside, receive, send)


class _Careful:
    """Plain HTTP, and a server without a public issuer, are for this machine alone.

    What no address is known of comes over a Unix socket, or from a test.
    """

    def __init__(self, application: ASGIApp, settings: Settings) -> None:
        self._application = application
        self._public = not is_loopback(
            urlsplit(settings.effective_issuer).hostname or ""
        )
        self._told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_remote(scope) and (fault := self._fault(scope)) is not None:
            scope["refused"] = fault
        await self._application(scope, receive, send)

    def _fault(self, scope: Scope) -> WatchwordError | None:
        if scope["scheme"] != "https":
            return HttpsRequired()
        if self._public:
            return None
        fault = (
            "the issuer is an address of this machine, and others call: give "
            "WATCHWORD_ISSUER, the URL that callers use"
        )
        if not self._told:
            _log.error("%s", fault)
            self._told = True
        return SettingsError([fault])


def _is_remote(scope: Scope) -> bool:
    client = scope["client"]
    try:
        return client is not None and not ip_address(client[0]).is_loopback
    except ValueError:
        return False


def merge_into(described: dict[str, Any]) -> None:
    """Add the paths, schemas and security schemes of these endpoints to a document.

    Where the document has one by that name already, it stays.
    """
    ours = document(OPERATIONS, prefix="Watchword")
    paths = described.setdefault("paths", {})
    for path, operations in ours["paths"].items():
        paths.setdefault(path, operations)
    components = described.setdefault("components", {})
    for kind, named in ours["components"].items():
        known = components.setdefault(kind, {})
        for name, one in named.items():
            known.setdefault(name, one)
