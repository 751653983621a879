"""Behind a proxy: who is believed, and that what arrives had been HTTPS.

Only the proxies named are believed about a client's address and protocol. Anything that
comes past them in clear, or through them from plain HTTP, is refused: a redirect would
come too late, the token has been sent. Health checks alone may come in clear: they
bring nothing, and neither a kubelet nor a load balancer can say that they were HTTPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.server.problems import HttpsRequired

Network = IPv4Network | IPv6Network
PROBES: Final = ("/healthz", "/readyz")


class HttpsOnly:
    """Restores the client's address; marks for refusal what did not come over HTTPS."""

    def __init__(self, application: ASGIApp, proxies: Sequence[Network]) -> None:
        self._application = application
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = scope["client"][0] if scope["client"] else ""
            if self._trusts(peer):
                client = self._client_behind(scope, peer)
                scope = {**scope, "client": (client, 0)}
                if _values(scope, b"x-forwarded-proto") == ["https"]:
                    scope["scheme"] = "https"
            if scope["scheme"] != "https" and scope["path"] not in PROBES:
                scope = {**scope, "refused": HttpsRequired()}
        await self._application(scope, receive, send)

    def _client_behind(self, scope: Scope, peer: str) -> str:
        """The last address that a trusted proxy did not write of itself."""
        hops = [
            hop.strip()
            for line in _values(scope, b"x-forwarded-for")
            for hop in line.split(",")
        ]
        for hop in reversed(hops):
            try:
                ip_address(hop)
            except ValueError:
                return peer  # a proxy writes addresses: this is not from it
            if not self._trusts(hop):
                return hop
        return peer

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [v.decode("latin-1") for key, v in scope["headers"] if key == name]
