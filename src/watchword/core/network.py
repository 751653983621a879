"""Network addresses: the one form under which each is trusted, counted and logged.

One address has several legal spellings: an IPv4 client of an IPv6 socket is
`::ffff:192.0.2.1`, some proxies add the port, IPv6 may have brackets, a zone, upper
case or zeros. Every comparison is of what `parse_address` returns, never of text.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# `[v6]`, `[v6]:port` or `v4:port` (RFC 7239 §6, RFC 3986 §3.2.2). More than one colon
# without brackets is IPv6, and no port can be told apart there.
_HOST_AND_PORT: Final = re.compile(
    r"\[(?P<bracketed>[^\[\]]*:[^\[\]]*)\](:\d{1,5})?|(?P<plain>[^:\[\]]*):\d{1,5}",
    re.ASCII,
)
# Bits before the IPv4 address in `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
_MAPPED: Final = 96
_ALL_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
# Prefixes that a translator in front of an IPv6 server gives to IPv4 callers (RFC 6052
# §2.1, RFC 8215, RFC 7755). All IPv4 callers share one such /64.
_TRANSLATED: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
)
# The longest form: an IPv6 address of 45 characters, a zone, brackets, port, quotes.
_LENGTH_MAX: Final = 80
# Each message that a stranger causes is looked at by its network, again and again.
_REMEMBERED: Final = 4096


def parse_address(text: str) -> Address | None:
    """The address, whichever way it is spelled; None where the text is not an address.

    Blanks, quotes, brackets, port and zone are dropped. IPv4 in IPv6 becomes IPv4.
    """
    if len(text) > _LENGTH_MAX:
        return None
    text = text.strip(" \t")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if (shape := _HOST_AND_PORT.fullmatch(text)) is not None:
        text = shape["bracketed"] or shape["plain"]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    # A zone (`%eth0`, RFC 4007 §11) means something only on the machine that wrote it.
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))


def plain_address(text: str) -> str:
    """The usual spelling of an address; text that is not an address unchanged."""
    address = parse_address(text)
    return text if address is None else str(address)


def plain_networks(network: Network) -> list[Network]:
    """The networks that have these addresses as `parse_address` returns them.

    One of IPv6 that has all mapped addresses, as `::/0` does, has all of IPv4.
    """
    if isinstance(network, ipaddress.IPv4Network):
        return [network]
    if network.supernet_of(_ALL_MAPPED):
        every: list[Network] = [ipaddress.IPv4Network((0, 0))]
        return every if network == _ALL_MAPPED else [network, *every]
    if network.subnet_of(_ALL_MAPPED):
        first = int(network.network_address) & 0xFFFFFFFF
        return [ipaddress.IPv4Network((first, network.prefixlen - _MAPPED))]
    return [network]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: `localhost` or a loopback address."""
    address = parse_address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def network_of(address: str) -> str | None:
    """The network of an address: the IPv4 address itself, or the /64 of an IPv6 one.

    One customer of a provider usually has a whole /64, so it counts as one caller. IPv4
    callers that a translator gave IPv6 addresses share a /64 and count one by one.
    Returns None for text that is not a caller's address: a name, the unspecified
    address, the empty string.
    """
    parsed = parse_address(address)
    if parsed is None or parsed.is_unspecified:
        return None
    if isinstance(parsed, ipaddress.IPv4Address) or _is_translated(parsed):
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def caller_of(address: str) -> str:
    """The key to count a caller by: its network, or the text where it has none."""
    return network_of(address) or address


@lru_cache(_REMEMBERED)
def provided_to(caller: str) -> str:
    """What a provider may have given to one customer, of which `caller` is a network.

    That is up to a /48 of IPv6 (RFC 6177), so 65,536 callers of `caller_of`.
    """
    address = parse_address(caller.partition("/")[0])
    if not isinstance(address, ipaddress.IPv6Address) or _is_translated(address):
        return caller
    return str(ipaddress.ip_network((int(address), 48), strict=False))


def _is_translated(address: ipaddress.IPv6Address) -> bool:
    return any(address in prefix for prefix in _TRANSLATED)
