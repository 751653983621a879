"""Refuses what did not come over HTTPS: behind a proxy, or inside another application.

Only the configured proxies are believed about a client's address and protocol. A
request that comes past them in plain HTTP, or that reached a proxy by plain HTTP, is
refused. A redirect would come too late, because the token has been sent already. Only
health checks may come in plain HTTP: they have no secrets, and neither a kubelet nor a
load balancer can say that it used HTTPS.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.config import Settings
from watchword.core.network import (
    Address,
    Network,
    is_loopback,
    parse_address,
    plain_networks,
)
from watchword.errors import SettingsError, WatchwordError
from watchword.server.operation import Operation
from watchword.server.problems import HttpsRequired
from watchword.server.request_ids import REQUEST_ID, given_id

HIDDEN: Final = "watchword.client_is_hidden"
"""In the scope: whether `client` is the proxy, because no client was named."""
# Proxies in a row: a caller within a trusted network could name thousands.
_HOPS_MAX: Final = 32
_SHOWN: Final = 60  # characters of a hop that the log repeats
_log = logging.getLogger("watchword.server")


class HttpsOnly:
    """Restores the client's address; marks requests to refuse that were not HTTPS.

    Of a trusted proxy it also takes the id that the request has in its log.
    """

    def __init__(
        self,
        application: ASGIApp,
        proxies: Sequence[Network],
        operations: Collection[Operation],
    ) -> None:
        self._application = application
        self._probes = {one.path for one in operations if not one.needs_https}
        self._proxies = [
            plain for network in proxies for plain in plain_networks(network)
        ]
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = parse_address(scope["client"][0]) if scope["client"] else None
            if peer is not None and self._trusts(peer):
                client = self._client_behind(scope, peer)
                scope = {
                    **scope,
                    "client": (str(client or peer), 0),
                    HIDDEN: client is None,
                }
                if (named := given_id(scope)) is not None:
                    scope[REQUEST_ID] = named
                # Schemes may be written in upper case, too (RFC 3986 §3.1).
                protocols = _values(scope, b"x-forwarded-proto")
                if [one.lower() for one in protocols] == ["https"]:
                    scope["scheme"] = "https"
            if scope["scheme"] != "https" and scope["path"] not in self._probes:
                scope = {**scope, "refused": HttpsRequired()}
        await self._application(scope, receive, send)

    def _client_behind(self, scope: Scope, peer: Address) -> Address | None:
        """The last forwarded address that is not that of a trusted proxy.

        None if there is none: then all callers behind the proxy look the same.
        """
        lines = _values(scope, b"x-forwarded-for")
        # An empty element of a list is none (RFC 9110 §5.6.1.2).
        last = ",".join(lines).rsplit(",", _HOPS_MAX)[-_HOPS_MAX:]
        hops = [hop for hop in last if hop.strip(" \t")]
        for hop in reversed(hops):
            address = parse_address(hop)
            if address is None:
                self._warn(f"the hop {hop[:_SHOWN]!a}, which is no address", peer)
                return None
            if not self._trusts(address):
                return address
        if not hops and scope["path"] not in self._probes:
            self._warn("no X-Forwarded-For", peer)
        return None

    def _warn(self, what: str, peer: Address) -> None:
        """Warn once per process that all callers behind that proxy count as one."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "the proxy %s sent %s: until it sends the address of each client, "
                "all callers behind it share one limit of failed sign-ins",
                peer,
                what,
            )

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


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
        self._logged = False

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
        if not self._logged:
            _log.error("%s", fault)
            self._logged = True
        return SettingsError([fault])


def _is_remote(scope: Scope) -> bool:
    address = parse_address(scope["client"][0]) if scope["client"] else None
    return address is not None and not address.is_loopback


def _values(scope: Scope, name: bytes) -> list[str]:
    return [v.decode("latin-1") for key, v in scope["headers"] if key == name]
