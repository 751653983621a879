"""The reference store: plain dictionaries, for tests. Nothing outlives the process.

Every verb runs to its end without awaiting, so the event loop makes it atomic. Where
another store behaves differently under the contract suite, that store is wrong.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Protocol, TypeVar

from watchword.clocks import Entropy
from watchword.core import limits
from watchword.core.limits import (
    AUDIT_RETENTION,
    STATS_KEPT,
    SWEEP_AFTER,
    WEBHOOK_SHOWN,
)
from watchword.ports import Stores
from watchword.ports.webhooks import DeliveryState
from watchword.stores.memory.accounts import (
    MemoryAccounts,
    MemoryConfirmations,
    MemoryRegistrations,
)
from watchword.stores.memory.consents import MemoryConsents
from watchword.stores.memory.credentials import MemoryCredentials
from watchword.stores.memory.outbox import MemoryOutbox
from watchword.stores.memory.records import (
    MemoryAuditLog,
    MemoryClients,
    MemoryKeys,
    MemoryReplayCache,
    MemoryThrottle,
)
from watchword.stores.memory.rows import Memory
from watchword.stores.memory.sessions import MemorySessions
from watchword.stores.memory.stats import MemoryStats
from watchword.stores.memory.webhooks import MemoryDeliveries, MemoryWebhooks
from watchword.stores.sql.files import Migration


async def open_stores(url: str, entropy: Entropy) -> Stores:
    """A new and empty store, however often a URL is opened."""
    del url
    memory = Memory(entropy(8))
    return Stores(
        sessions=MemorySessions(memory),
        accounts=MemoryAccounts(memory),
        registrations=MemoryRegistrations(memory),
        confirmations=MemoryConfirmations(memory),
        credentials=MemoryCredentials(memory),
        consents=MemoryConsents(memory),
        clients=MemoryClients(memory),
        keys=MemoryKeys(memory),
        throttle=MemoryThrottle(memory),
        once=MemoryReplayCache(memory),
        outbox=MemoryOutbox(memory),
        audit=MemoryAuditLog(memory),
        stats=MemoryStats(memory),
        webhooks=MemoryWebhooks(memory),
        deliveries=MemoryDeliveries(memory),
        backend=MemoryBackend(memory),
    )


async def migrate(url: str, *, apply: bool) -> list[Migration]:
    """Nothing is ever pending."""
    del url, apply
    return []


class MemoryBackend:
    """Implements `ports.Backend`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def check(self) -> None:
        return

    async def sweep(self, now: int, limit: int) -> int:
        over = [
            row.id
            for row in self._memory.sessions.values()
            if row.idle_expires_at < now - SWEEP_AFTER
        ][:limit]
        for identifier in over:
            del self._memory.sessions[identifier]
        before = self._swept_by_time()
        self._memory.registrations = _left(self._memory.registrations, now)
        self._memory.confirmations = _left(self._memory.confirmations, now)
        self._memory.credentials = _left(self._memory.credentials, now)
        self._memory.held = _left(self._memory.held, now)
        self._memory.feed = [item for item in self._memory.feed if item[1].until > now]
        self._memory.throttle = {
            key: at for key, at in self._memory.throttle.items() if at > now
        }
        self._memory.used = {
            key: until for key, until in self._memory.used.items() if until > now
        }
        kept = now - AUDIT_RETENTION
        self._memory.events = [
            item for item in self._memory.events if item[1].at >= kept
        ]
        self._memory.stats = {
            key: n
            for key, n in self._memory.stats.items()
            if key[0] >= now - STATS_KEPT
        }
        shown = self._shown_enough(now)[:limit]
        for identifier in shown:
            del self._memory.deliveries[identifier]
        return len(over) + len(shown) + before - self._swept_by_time()

    def _shown_enough(self, now: int) -> list[bytes]:
        """The deliveries that are over, and old or followed by many."""
        rows = [
            (place, row)
            for webhook_id in self._memory.webhooks
            for place, row in enumerate(self._memory.deliveries_of(webhook_id)[::-1])
        ]
        most, edge = limits.WEBHOOK_SHOWN_MAX, now - WEBHOOK_SHOWN
        return [
            row.id
            for place, row in rows
            if row.state is not DeliveryState.WAITING
            and (place >= most or row.created_at < edge)
        ]

    def _swept_by_time(self) -> int:
        swept: tuple[Sized, ...] = (
            self._memory.registrations,
            self._memory.confirmations,
            self._memory.credentials,
            self._memory.held,
            self._memory.feed,
            self._memory.throttle,
            self._memory.used,
            self._memory.events,
            self._memory.stats,
            self._memory.deliveries,
        )
        return sum(len(rows) for rows in swept)

    async def close(self) -> None:
        return


class _Lasting(Protocol):
    @property
    def until(self) -> int | None: ...


Key = TypeVar("Key")
Row = TypeVar("Row", bound=_Lasting)


def _left(rows: dict[Key, Row], now: int) -> dict[Key, Row]:
    """Those that have not run out."""
    return {
        key: row for key, row in rows.items() if row.until is None or row.until > now
    }
