"""One server, which has all slots."""

from __future__ import annotations

from collections.abc import Collection

from watchword.stores.redis.address import Address
from watchword.stores.redis.node import Node
from watchword.stores.redis.servers import Servers


class Single(Servers):
    """One server, which has all slots."""

    spans_slots = True

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._only = self.node(*address.hosts[0])

    async def start(self) -> None:
        return

    def masters(self) -> list[Node]:
        return [self._only]

    def node_of(self, slot: int) -> Node:
        del slot
        return self._only

    def note_moved(self, slot: int, host: str, port: int) -> None:
        """Does nothing: there is no other server."""

    async def rediscover(self, lost: Collection[Node]) -> None:
        """Does nothing: there is no other server."""
