"""Clients, signing keys, the throttle, keys used once, the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.core.throttle import Cost, give_back, take
from watchword.errors import NameTaken
from watchword.ports.audit import Event, EventFilter, EventPage
from watchword.ports.clients import Client
from watchword.ports.keys import SealedKey
from watchword.stores.memory.rows import Memory


class MemoryClients:
    """Implements `ClientStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, client: Client, event: Event) -> None:
        if client.id in self._memory.clients:
            raise NameTaken
        self._memory.clients[client.id] = client
        self._memory.record(event)

    async def load(self, client_id: str) -> Client | None:
        return self._memory.clients.get(client_id)

    async def list(self, *, after: str = "", limit: int) -> list[Client]:
        ids = sorted(key for key in self._memory.clients if key > after)
        return [self._memory.clients[client_id] for client_id in ids[:limit]]

    async def swap(self, before: Client, after: Client, event: Event) -> bool:
        row = self._memory.clients.get(before.id)
        if row is None or row.version != before.version:
            return False
        self._memory.clients[before.id] = after
        self._memory.record(event)
        return True


class MemoryKeys:
    """Implements `KeyStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def load(self) -> tuple[int, list[SealedKey]]:
        return self._memory.ring

    async def swap(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        if self._memory.ring[0] != revision:
            return False
        self._memory.ring = (revision + 1, list(keys))
        self._memory.record(event)
        return True


class MemoryThrottle:
    """Implements `Throttle`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        taken, wait = take(
            {c.key: self._memory.throttle.get(c.key) for c in costs}, costs, now
        )
        self._memory.throttle.update(taken)
        return wait

    async def give_back(
        self, costs: Sequence[Cost], *, forget: Sequence[str] = ()
    ) -> None:
        for key in forget:
            self._memory.throttle.pop(key, None)
        for cost in costs:
            if cost.key in self._memory.throttle:
                self._memory.throttle[cost.key] = give_back(
                    self._memory.throttle[cost.key], cost
                )


class MemoryReplayCache:
    """Implements `ReplayCache`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        first = [key not in self._memory.used for key, _ in uses]
        self._memory.used = dict(uses) | self._memory.used
        return first


class MemoryAuditLog:
    """Implements `AuditLog`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def record(self, event: Event) -> None:
        self._memory.record(event)

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        for place, event in events:
            if place not in self._memory.adopted:
                self._memory.adopted.add(place)
                self._memory.record(event)

    async def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        return [item for item in self._memory.events if item[0] > after][:limit]

    async def last(self) -> int:
        return self._memory.recorded

    async def search(
        self, wanted: EventFilter, *, before: int | None = None, limit: int, look: int
    ) -> EventPage:
        older = [
            item
            for item in reversed(self._memory.events)
            if before is None or item[0] < before
        ][:look]
        found = [item for item in older if wanted.includes(item[1])]
        if len(found) > limit:
            return EventPage(found[:limit], found[limit - 1][0])
        return EventPage(found, older[-1][0] if len(older) == look else None)
