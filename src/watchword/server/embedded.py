"""The server's endpoints inside another application, under the same paths.

The host application keeps its routes, log, health checks, CORS and documentation. Only
these paths are answered here, including their errors. The host routes the `paths` of an
`EmbeddedApp` to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.bootstrap import Watchword
from watchword.config import Settings
from watchword.server.edge import Edge
from watchword.server.endpoints import ENDPOINTS
from watchword.server.endpoints.oauth.metadata import resource_metadata_url
from watchword.server.https import HttpsOnly, RequireHttps
from watchword.server.openapi import document
from watchword.server.operation import Operation
from watchword.server.routing import routed
from watchword.server.unread_bodies import guarded


def operations_for(*, own_users: bool) -> tuple[Operation, ...]:
    """The endpoints that an application serves.

    One with users of its own serves none that are for our accounts: it may have calls
    of the same names.
    """
    return tuple(
        one
        for one in ENDPOINTS
        if one.is_embedded and not (own_users and one.needs_accounts)
    )


def paths_of(operations: Iterable[Operation]) -> tuple[str, ...]:
    """Their paths, each once."""
    return tuple(dict.fromkeys(path for one in operations for path in one.paths))


class _Slashes(Convertor[str]):
    """Matches slashes at the end of a path. None of our paths ends with one."""

    regex = "/+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("watchword_slashes", _Slashes())


def routes_to(application: EmbeddedApp) -> list[Route]:
    """Routes of Starlette for its paths, and for these with slashes behind them.

    Without the latter a host would redirect such a request, with its body, to the
    scheme by which it believes to be served. Behind a proxy that is plain HTTP. With
    them the answer is 404, as the server's.
    """
    exact = [path for path in application.paths if ":path" not in path]
    slashed = [f"{path}{{slashes:watchword_slashes}}" for path in exact]
    endpoint: Any = application  # a route may be an ASGI application
    return [
        Route(path, endpoint, include_in_schema=False)
        for path in [*application.paths, *slashed]
    ]


class EmbeddedApp:
    """An ASGI application for `paths`, which has the endpoints `operations`.

    `engine` returns the Watchword that is running. `served_at` is called with the scope
    of every request, before it is answered. `own_users` says that the host keeps its
    users itself.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Callable[[], Watchword],
        served_at: Callable[[Scope], None],
        *,
        own_users: bool = False,
    ) -> None:
        self.operations = operations = operations_for(own_users=own_users)
        self.paths = paths_of(operations)
        self._engine = engine
        self._served_at = served_at
        self.metadata = resource_metadata_url(settings)
        application: ASGIApp = Edge(routed(operations), operations, log=None)
        if settings.behind_proxy:
            application = HttpsOnly(application, settings.behind_proxy, operations)
        else:
            application = RequireHttps(application, settings)
        self._application = guarded(application)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._served_at(scope)
        # The host may be mounted below a path: that path is part of the issuer then,
        # and not of our paths.
        root: str = scope.get("root_path", "")
        raw: bytes | None = scope.get("raw_path")
        inside = {
            **scope,
            "path": scope["path"].removeprefix(root),
            "raw_path": raw and raw.removeprefix(quote(root).encode()),
            "root_path": "",
            "client": scope.get("client"),
            "state": {
                "watchword": self._engine(),
                "resource_metadata": self.metadata,
            },
        }
        await self._application(inside, receive, send)


def merge_into(host: dict[str, Any], operations: Iterable[Operation]) -> None:
    """Add the paths, schemas and security schemes of these endpoints to a document.

    What the document already has under the same name stays.
    """
    ours = document(operations, prefix="Watchword")
    paths = host.setdefault("paths", {})
    for path, methods in ours["paths"].items():
        paths.setdefault(path, methods)
    components = host.setdefault("components", {})
    for kind, named in ours["components"].items():
        known = components.setdefault(kind, {})
        for name, one in named.items():
            known.setdefault(name, one)
