"""The server's endpoints inside another application, under the same paths.

The host application keeps its routes, log, health checks, CORS and documentation. Only
these paths are answered here, including their errors. The host routes `PATHS` to an
`EmbeddedApp`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchword.bootstrap import Watchword
from watchword.config import Settings
from watchword.core.network import is_loopback, parse_address
from watchword.errors import InvalidRequest, SettingsError, WatchwordError
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
# The well-known paths also with the issuer's path behind them.
PATHS: Final = [
    *dict.fromkeys(operation.path for operation in OPERATIONS),
    f"{metadata.SERVER_PATH}/{{path:path}}",
    f"{metadata.OPENID_PATH}/{{path:path}}",
    f"{metadata.RESOURCE_PATH}/{{path:path}}",
    metadata.RESOURCE_PATH,
    *(file.path for file in _FILES),
]
_UNREAD: Final = "Send a request with a body without an offer to upgrade."
_log: Final = logging.getLogger("watchword.server")


class _Slashes(Convertor[str]):
    """Matches slashes at the end of a path. None of our paths ends with one."""

    regex = "/+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("watchword_slashes", _Slashes())


def routes_to(application: ASGIApp) -> list[Route]:
    """Routes of Starlette for `PATHS`, and for these paths with slashes behind them.

    Without the latter a host would redirect such a request, with its body, to the
    scheme by which it believes to be served. Behind a proxy that is plain HTTP. With
    them the answer is 404, as the server's.
    """
    whole = [path for path in PATHS if ":path" not in path]
    slashed = [f"{path}{{slashes:watchword_slashes}}" for path in whole]
    endpoint: Any = application  # a route may be an ASGI application
    return [
        Route(path, endpoint, include_in_schema=False) for path in [*PATHS, *slashed]
    ]


class EmbeddedApp:
    """An ASGI application for the paths of `PATHS`.

    `engine` returns the Watchword that is running. `served_at` is called with the scope
    of every request, before it is answered.
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
            application = RequireHttps(application, settings)
        self._whole = whole(application)

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
        await self._whole(inside, receive, send)


def whole(application: ASGIApp) -> ASGIApp:
    """The application, guarded against requests whose body the server did not read.

    The scope of such a request gets the error to refuse it with, under `refused`, and
    the answer ends the connection.
    """

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "CONNECT" or _offers_upgrade(scope):
            receive = await _read_ahead(scope, receive)
            if "refused" in scope:
                send = _closing(send)
        await application(scope, receive, send)

    return called


def _offers_upgrade(scope: Scope) -> bool:
    return any(name == b"upgrade" for name, _ in scope["headers"])


async def _read_ahead(scope: MutableMapping[str, Any], receive: Receive) -> Receive:
    """Mark a request for refusal if the server did not read its body.

    uvicorn parses with llhttp if httptools is installed. For llhttp a message ends
    after its head if it is a CONNECT or offers an Upgrade. The bytes that are its body
    (RFC 9110 §7.8) would then be taken for the next request, which may be that of
    another user if a proxy keeps the connection. Returns the `receive` to use.
    """
    first = await receive()
    none = not first.get("body") and not first.get("more_body")
    if scope["method"] == "CONNECT" or (none and _declares_body(scope)):
        scope["refused"] = InvalidRequest(_UNREAD)
    unread = [first]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    return receive_again


def _declares_body(scope: MutableMapping[str, Any]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _closing(send: Send) -> Send:
    """A `send` whose answer ends the connection, so that later bytes are not parsed."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], (b"connection", b"close")]
            message = {**message, "headers": headers}
        await send(message)

    return send_closing


class RequireHttps:
    """Refuses other machines over plain HTTP, or while there is no public issuer.

    A client without an address comes over a Unix socket, or is a test: it counts as a
    client of this machine.
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
    address = parse_address(scope["client"][0]) if scope["client"] else None
    return address is not None and not address.is_loopback


def merge_into(described: dict[str, Any]) -> None:
    """Add the paths, schemas and security schemes of these endpoints to a document.

    What the document already has under the same name stays.
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
