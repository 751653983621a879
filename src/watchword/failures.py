"""What the throttles of passwords and of client secrets share."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

from watchword.core import limits

_KEPT: Final = 10_000


def network_of(address: str) -> str:
    """What one customer has, to be counted as one: of IPv6 a /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Seldom:
    """Once a minute for each key: attempts may flood, audit events may not.

    Memory, not state: what is forgotten costs a repeated event at most.
    """

    def __init__(self) -> None:
        self._told: OrderedDict[str, int] = OrderedDict()

    def is_due(self, key: str, now: int) -> bool:
        """Whether to tell it now; if so, not again for a minute."""
        told = self._told.get(key)
        # The distance is absolute: a clock set back silences nothing.
        if told is not None and abs(now - told) < limits.MINUTE:
            return False
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > _KEPT:
            self._told.popitem(last=False)
        return True
