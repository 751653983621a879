"""Which of its listeners a request came by, and what is shown to whom of operators.

Without WATCHWORD_ADMIN_LISTEN there is one listener. With it, the second one serves the
console, the admin API and the metrics, and the first one serves all the rest.
"""

from __future__ import annotations

from functools import lru_cache

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.config.values import ListenAddress
from watchword.core.network import (
    Network,
    is_loopback,
    parse_address,
    plain_networks,
)
from watchword.server.admin_listener import MARK, is_at_admin_listener
from watchword.server.https import HIDDEN
from watchword.server.local import is_asked_locally, is_forwarded, is_local_only
from watchword.server.parsing import engine_of


class ByListener:
    """Passes a request to the application of the listener that it came by.

    The listener is known by the port of its socket, which no client chooses. `main` and
    `admin` are the applications of both. On the admin listener a request that says it
    was passed on goes to `passed_on`: there forwarding headers are believed as on the
    main one. Any other is of this machine, or came by TLS: no start lets that listener
    speak plain HTTP elsewhere.
    """

    def __init__(
        self, main: ASGIApp, admin: ASGIApp, passed_on: ASGIApp, at: ListenAddress
    ) -> None:
        self._main = main
        self._admin = admin
        self._passed_on = passed_on
        self._at = at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._main
        server = scope.get("server")
        if scope["type"] == "http" and server and server[1] == self._at.port:
            mark = {MARK: True, "bound_to": self._at.host}
            scope = {**scope, "state": {**scope["state"], **mark}}
            is_passed_on = is_forwarded(scope["headers"])
            application = self._passed_on if is_passed_on else self._admin
        await application(scope, receive, send)


def console_is_open(request: Request) -> bool:
    """Whether there is a console for this request; where there is none, it is a 404.

    WATCHWORD_CONSOLE says so for the main listener; the admin listener has one unless
    it is off everywhere. Inside an app there is one only with `on`.
    """
    setting = engine_of(request).settings.console
    if setting == "off":
        return False
    return setting == "on" or is_at_admin_listener(request) or is_local_only(request)


def may_read_metrics(request: Request) -> bool:
    """Whether `/metrics` answers this request; where it may not, it is a 404.

    A user of this machine may, and a client of WATCHWORD_METRICS_FROM. So may whatever
    reaches the admin listener; where that is bound to loopback, a local proxy and a
    page with a name of its own for this machine reach it too, and may not.
    """
    if is_at_admin_listener(request):
        bound_to: str = request.scope["state"]["bound_to"]
        if not is_loopback(bound_to) or is_asked_locally(request.scope["headers"]):
            return True
    return is_local_only(request) or _is_of_metrics_network(request)


def _is_of_metrics_network(request: Request) -> bool:
    """Whether its client is known, and of WATCHWORD_METRICS_FROM.

    The address of a proxy is never taken for that of its client. A trusted proxy has to
    name the client, and any other must not be between.
    """
    settings, scope = engine_of(request).settings, request.scope
    address = parse_address(scope["client"][0]) if scope["client"] else None
    is_hidden = scope.get(HIDDEN, is_forwarded(scope["headers"]))
    if address is None or is_hidden:
        return False
    return any(address in network for network in _plain(settings.metrics_from))


@lru_cache(maxsize=8)
def _plain(networks: tuple[Network, ...]) -> tuple[Network, ...]:
    return tuple(plain for one in networks for plain in plain_networks(one))
