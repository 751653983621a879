"""Networks: what one customer has, and so what counts as one caller."""

from __future__ import annotations

import ipaddress


def network_of(address: str) -> str | None:
    """The network of an address: the IPv4 address itself, of IPv6 the /64.

    An IPv4 address in the form of IPv6 (RFC 4291 §2.5.5.2) is the IPv4 address. None
    for what is no address of a caller: a name, the unspecified address, no text at all.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            network = ipaddress.ip_network((parsed, 64), strict=False)
            return None if parsed.is_unspecified else str(network)
        parsed = parsed.ipv4_mapped
    return None if parsed.is_unspecified else str(parsed)
