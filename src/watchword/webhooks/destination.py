"""Where a delivery may go: public addresses, over https.

The URL of a webhook is given by a caller of the admin API, and this server may stand
where others cannot reach: beside databases, and the metadata service of its cloud. So
the name is resolved here, all of its addresses have to be public, and the connection
goes to one that was looked at: a name server that answers anew cannot lead it astray.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from watchword.core.network import Address
from watchword.errors import InvalidRequest

_URL_MAX: Final = 2048
_PRINTABLE: Final = re.compile(r"[!-~]+", re.ASCII)
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)
_PORTS: Final = {"https": 443, "http": 80}
_ELSEWHERE: Final = "; others are for `watchword webhooks add --allow-private`"

# IANA's registries of special-purpose addresses. `ipaddress.is_global` differs between
# releases of Python.
_NOT_PUBLIC_4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8"),
            *("169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
            *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            # Azure's service for its machines has an address like any other.
            "168.63.129.16/32",
        ),
    )
)
# Global unicast is 2000::/3 alone: not ::1, mapped or compatible IPv4, NAT64, unique
# local, link-local, multicast. Of it these are special: Teredo, benchmarks, ORCHID and
# other protocols, documentation, 6to4, AS112.
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        (
            *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48"),
            "3fff::/20",
        ),
    )
)


class Destination(NamedTuple):
    """A URL, taken apart. `target` is what stands in the request line."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def destination_of(url: str, *, allow_private: bool) -> Destination:
    """The destination that a URL names.

    Raises InvalidRequest for a URL that no delivery may go to, as far as the URL alone
    tells: a name is not resolved.
    """
    if len(url) > _URL_MAX or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise _refused("is too long, or has characters that a URL has not")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _refused("is none") from None
    if parts.scheme not in ({"https", "http"} if allow_private else {"https"}):
        raise _refused(f"has to begin with https://{_ELSEWHERE}")
    if "@" in parts.netloc or "#" in url:
        raise _refused("may have neither a user nor a fragment")
    if not _HOST.fullmatch(host) or port == 0:
        raise _refused("has no host; one in other letters is written in its ASCII form")
    literal = _literal(host)
    if literal is not None and not (allow_private or is_public(literal)):
        raise _refused(f"has an address that is not public{_ELSEWHERE}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, host, port or _PORTS[parts.scheme], target)


def is_public(address: Address) -> bool:
    """Whether anyone on the Internet could have this unicast address.

    An IPv6 address that leads to one of IPv4, by whatever translation, is not public.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    in_use = address in _GLOBAL_6 and address.scope_id is None
    return in_use and not any(address in network for network in _NOT_PUBLIC_6)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"The URL of a webhook {why}.")
