"""A Cluster: which master has which slot, as its servers say.

When a slot has moved, the server that no longer has it says where it is. When a server
is gone, another one is asked for all slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import ResponseError

from watchword.errors import StoreUnavailable
from watchword.stores.redis.address import Address
from watchword.stores.redis.node import ConnectionLost, Node, Reply
from watchword.stores.redis.servers import Servers


class Cluster(Servers):
    """The masters of a Cluster and the slots of each."""

    spans_slots = False

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._by_slot: list[Node] = []
        self._discovering = asyncio.Lock()
        self._discoveries = 0

    async def start(self) -> None:
        fault = await self._discover(())
        if fault is not None:
            raise StoreUnavailable from fault

    def masters(self) -> list[Node]:
        return list(dict.fromkeys(self._by_slot))

    def node_of(self, slot: int) -> Node:
        return self._by_slot[slot]

    def note_moved(self, slot: int, host: str, port: int) -> None:
        self._by_slot[slot] = self.node(host, port)

    async def rediscover(self, lost: Collection[Node]) -> None:
        known = self._discoveries
        async with self._discovering:
            if known == self._discoveries:  # no other task has done it meanwhile
                await self._discover(lost)
                self._discoveries += 1

    async def _discover(self, lost: Collection[Node]) -> Exception | None:
        """Ask one server after another which master has which slot.

        Returns None once one has answered, otherwise the last error.
        """
        fault: Exception | None = None
        known = [*self.masters(), *(self.node(*host) for host in self._address.hosts)]
        for node in sorted(dict.fromkeys(known), key=lambda one: one in lost):
            try:
                (ranges,) = await node.exchange([("CLUSTER", "SLOTS")])
                self._by_slot = self._read(ranges, node)
            except (ConnectionLost, ResponseError) as error:
                fault = error
            else:
                await self._forget()
                return None
        return fault

    def _read(self, ranges: Reply, by: Node) -> list[Node]:
        """The masters by slot, from `CLUSTER SLOTS`. Raises ResponseError."""
        if isinstance(ranges, Exception):
            raise ranges
        found: dict[int, Node] = {}
        for first, last, (host, port, *_), *_ in ranges:
            node = self.node(by.named((host or b"").decode()), port)
            found.update(dict.fromkeys(range(first, last + 1), node))
        if len(found) < REDIS_CLUSTER_HASH_SLOTS:
            raise ResponseError("some slots have no master")
        return [found[slot] for slot in range(REDIS_CLUSTER_HASH_SLOTS)]

    async def _forget(self) -> None:
        """Close the connections to servers that are no longer masters."""
        masters = self.masters()
        for name, node in list(self._nodes.items()):
            if node not in masters:
                await node.close_idle()
                del self._nodes[name]
