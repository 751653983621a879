"""Webhooks and their deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from watchword.core.limits import SECRET_NAME_BYTES
from watchword.ports.audit import Event
from watchword.ports.webhooks import Delivery, DeliveryState, Webhook
from watchword.stores.memory.rows import Memory


class MemoryWebhooks:
    """Implements `WebhookStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, webhook: Webhook, event: Event, most: int) -> bool:
        if len(self._memory.webhooks) >= most:
            return False
        self._memory.webhooks[webhook.id] = webhook
        self._memory.record(event)
        return True

    async def all(self) -> list[Webhook]:
        return [row for _, row in sorted(self._memory.webhooks.items())]

    async def swap(
        self, before: Webhook, after: Webhook | None, event: Event | None
    ) -> bool:
        row = self._memory.webhooks.get(before.id)
        if row is None or row.version != before.version:
            return False
        if after is None:
            del self._memory.webhooks[before.id]
            rows = self._memory.deliveries
            self._memory.deliveries = {
                one.id: one for one in rows.values() if one.webhook_id != before.id
            }
        else:
            kept = after.handed_over if row.disabled else row.handed_over
            self._memory.webhooks[before.id] = replace(after, handed_over=kept)
        if event is not None:
            self._memory.record(event)
        return True

    async def sealed_under(self) -> Mapping[bytes, int]:
        rows = self._memory.webhooks.values()
        return Counter(row.sealed[:SECRET_NAME_BYTES] for row in rows)

    async def reseal(self, again: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        rows = self._memory.webhooks
        for webhook_id, (before, after) in again.items():
            row = rows.get(webhook_id)
            if row is not None and row.sealed == before:
                rows[webhook_id] = replace(row, sealed=after)


class MemoryDeliveries:
    """Implements `DeliveryStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._leases: dict[bytes, int] = {}

    async def hand_over(
        self, webhook_id: bytes, seen: int, last: int, deliveries: Sequence[Delivery]
    ) -> bool:
        row = self._memory.webhooks.get(webhook_id)
        if row is None or row.disabled or row.handed_over != seen:
            return False
        self._memory.webhooks[webhook_id] = replace(row, handed_over=last)
        self._memory.deliveries.update({one.id: one for one in deliveries})
        return True

    async def lease(
        self, webhook_id: bytes, now: int, until: int, limit: int
    ) -> list[Delivery]:
        due = [
            one
            for one in self._waiting(webhook_id)
            if one.not_before <= now and self._leases.get(one.id, 0) <= now
        ][:limit]
        self._leases.update({one.id: until for one in due})
        return due

    async def settle(self, after: Delivery) -> None:
        row = self._memory.deliveries.get(after.id)
        if row is not None and row.state is DeliveryState.WAITING:
            self._leases.pop(after.id, None)
            self._memory.deliveries[after.id] = after

    async def hurry(self, webhook_id: bytes, now: int) -> int:
        later = [
            one
            for one in self._waiting(webhook_id)
            if one.not_before > now and self._leases.get(one.id, 0) <= now
        ]
        for one in later:
            self._memory.deliveries[one.id] = replace(one, not_before=now)
        return len(later)

    async def waiting(self, webhook_id: bytes) -> tuple[int, int | None]:
        rows = self._waiting(webhook_id)
        return len(rows), rows[0].created_at if rows else None

    async def list(
        self, webhook_id: bytes, *, before: bytes | None = None, limit: int
    ) -> list[Delivery]:
        rows = [
            one
            for one in reversed(self._memory.deliveries_of(webhook_id))
            if before is None or one.id < before
        ]
        return rows[:limit]

    def _waiting(self, webhook_id: bytes) -> Sequence[Delivery]:
        rows = self._memory.deliveries_of(webhook_id)
        return [one for one in rows if one.state is DeliveryState.WAITING]
