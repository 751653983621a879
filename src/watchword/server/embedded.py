"""The server's endpoints inside another application, under the same paths.

The host application keeps its routes, log, health checks, CORS and documentation. Only
these paths are answered here, including their errors. The host routes the `paths` of an
`EmbeddedApp` to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.bootstrap import Watchword
from watchword.config import Settings
from watchword.metrics.pages import Pages
from watchword.server.edge import Edge
from watchword.server.endpoints import ENDPOINTS
from watchword.server.endpoints.oauth.metadata import resource_metadata_url
from watchword.server.https import HttpsOnly, RequireHttps
from watchword.server.openapi import document
from watchword.server.operation import Operation
from watchword.server.routing import routed
from watchword.server.unread_bodies import guarded

_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)


def operations_for(*, own_users: bool, pages: bool | str) -> tuple[Operation, ...]:
    """The endpoints that an application serves.

    One with users of its own serves none that are for our accounts, and no page: it may
    have calls and pages of the same names. Raises ValueError for a prefix that is no
    path.
    """
    prefix = prefix_of(pages)
    return tuple(
        _below(prefix or "", one) if one.is_page else one
        for one in ENDPOINTS
        if one.is_embedded
        and not (own_users and one.needs_accounts)
        and not (one.is_page and prefix is None)
    )


def prefix_of(pages: bool | str) -> str | None:  # noqa: FBT001 - as in `mount`
    """What the paths of the pages begin with; None without pages.

    Raises ValueError.
    """
    if isinstance(pages, bool):
        return "" if pages else None
    if not _PREFIX.fullmatch(pages):
        message = f"pages is True, False or a path such as '/id', not {pages!r}"
        raise ValueError(message)
    return pages


def _below(prefix: str, page: Operation) -> Operation:
    return msgspec.structs.replace(
        page,
        path=prefix + page.path,
        more_paths=tuple(prefix + path for path in page.more_paths),
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


class _PageRoute(Route):
    """The route to a page of ours, where the host has none of the same path.

    The host may add its own before or after ours.
    """

    def __init__(
        self, path: str, endpoint: ASGIApp, page: str, host: Iterable[BaseRoute]
    ) -> None:
        super().__init__(path, endpoint, include_in_schema=False)
        self._page = page
        self._host = host

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = super().matches(scope)
        if found[0] is not Match.NONE and any(map(self._is_its_own, self._host)):
            return Match.NONE, {}
        return found

    def _is_its_own(self, route: BaseRoute) -> bool:
        is_same = getattr(route, "path", None) == self._page
        return is_same and not isinstance(route, _PageRoute)


def routes_to(application: EmbeddedApp, host: Iterable[BaseRoute] = ()) -> list[Route]:
    """Routes of Starlette for its paths, and for these with slashes behind them.

    Without the latter a host would redirect such a request, with its body, to the
    scheme by which it believes to be served. Behind a proxy that is plain HTTP. With
    them the answer is 404, as the server's. `host` are the routes of the host, as they
    are when a request comes.
    """
    endpoint: Any = application  # a route may be an ASGI application
    routes, slashed = list[Route](), list[Route]()
    for path in application.paths:
        places = [(path, routes)]
        if ":path" not in path:
            places.append((f"{path}{{slashes:watchword_slashes}}", slashed))
        for place, kind in places:
            kind.append(
                _PageRoute(place, endpoint, path, host)
                if path in application.page_paths
                else Route(place, endpoint, include_in_schema=False)
            )
    return [*routes, *slashed]


class EmbeddedApp:
    """An ASGI application for `paths`, which has the endpoints `operations`.

    `engine` returns the Watchword that is running. `served_at` is called with the scope
    of every request, before it is answered. `own_users` says that the host keeps its
    users itself. There are pages only after `serve_pages`.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Callable[[], Watchword],
        served_at: Callable[[Scope], None],
        *,
        own_users: bool = False,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._served_at = served_at
        self._own_users = own_users
        self.metadata = resource_metadata_url(settings)
        # For the charts of the console. A process that is forked has its own.
        self.metrics = Pages.alone().page(0)
        self.serve_pages(pages=False)

    def serve_pages(self, *, pages: bool | str) -> None:
        """Have our pages among the paths, or have them no more. Raises ValueError."""
        settings = self._settings
        self._pages = prefix_of(pages)
        operations = operations_for(own_users=self._own_users, pages=pages)
        self.operations = operations
        self.paths = paths_of(operations)
        self.page_paths = paths_of(one for one in operations if one.is_page)
        application: ASGIApp = Edge(
            routed(operations), operations, log=None, metrics=self.metrics
        )
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
                "pages": self._pages,
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
