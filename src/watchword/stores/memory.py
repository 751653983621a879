"""The reference store: plain dictionaries, for tests. Nothing outlives the process.

Every verb runs to its end without awaiting, so the event loop makes it atomic. Where
another store behaves differently under the contract suite, that store is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.clocks import Entropy
from watchword.core.actor import EndReason
from watchword.core.limits import AUDIT_RETENTION, SWEEP_AFTER
from watchword.core.session import Alive, Ended, Session
from watchword.core.throttle import Cost, give_back, take
from watchword.errors import NameTaken
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import Event
from watchword.ports.clients import Client
from watchword.ports.keys import SealedKey
from watchword.ports.sessions import (
    Change,
    Cursor,
    FeedPage,
    Selector,
    SessionPage,
    page_of,
    selects,
)
from watchword.stores.sql.files import Migration


async def open_stores(url: str, entropy: Entropy) -> Stores:
    """A new and empty store, however often a URL is opened."""
    del url
    memory = Memory(entropy(8))
    return Stores(
        sessions=MemorySessions(memory),
        accounts=MemoryAccounts(memory),
        clients=MemoryClients(memory),
        keys=MemoryKeys(memory),
        throttle=MemoryThrottle(memory),
        once=MemoryReplayCache(memory),
        audit=MemoryAuditLog(memory),
        backend=MemoryBackend(memory),
    )


async def migrate(url: str, *, apply: bool) -> list[Migration]:
    """Nothing is ever pending."""
    del url, apply
    return []


class Memory:
    """The rows of every port."""

    def __init__(self, incarnation: bytes) -> None:
        self.incarnation = incarnation
        self.sessions: dict[bytes, Session] = {}
        self.feed: list[tuple[int, Ended]] = []
        self.fed = 0
        self.accounts: dict[bytes, Account] = {}
        self.clients: dict[str, Client] = {}
        self.throttle: dict[str, int] = {}
        self.used: dict[bytes, int] = {}
        self.ring: tuple[int, list[SealedKey]] = (0, [])
        self.events: list[tuple[int, Event]] = []
        self.recorded = 0
        self.adopted: set[str] = set()

    def feed_with(self, session: Session) -> Ended:
        """Write the feed entry of a session that has ended, and return it."""
        entry = session.feed_entry()
        self.fed += 1
        self.feed.append((self.fed, entry))
        return entry

    def record(self, event: Event) -> None:
        """Write an audit event."""
        self.recorded += 1
        self.events.append((self.recorded, event))


class MemorySessions:
    """Implements `SessionStore`."""

    is_remote = False

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def create(self, session: Session, event: Event) -> None:
        self._memory.sessions[session.id] = session
        self._memory.record(event)

    async def load(self, ids: Sequence[bytes]) -> Sequence[Session | None]:
        return [self._memory.sessions.get(identifier) for identifier in ids]

    async def swap(self, changes: Sequence[Change]) -> Sequence[bool]:
        return [self._swap(change) for change in changes]

    def _swap(self, change: Change) -> bool:
        row = self._memory.sessions.get(change.before.id)
        if row is None or row.version != change.before.version:
            return False
        self._memory.sessions[row.id] = change.after
        if change.after.revoked_at is not None:
            self._memory.feed_with(change.after)
        if change.event is not None:
            self._memory.record(change.event)
        return True

    async def list(
        self,
        account_id: bytes | None,
        alive: Alive,
        *,
        after: bytes | None = None,
        limit: int,
        look: int,
    ) -> SessionPage:
        stretch = [
            row
            for row in sorted(
                self._memory.sessions.values(), key=lambda row: row.id, reverse=True
            )
            if account_id in (None, row.account_id)
            and (after is None or row.id < after)
        ][:look]
        found = [row for row in stretch if alive.includes(row)]
        onward = stretch[-1].id if len(stretch) == look else None
        return page_of(found, onward, limit)

    async def end(
        self, selector: Selector, reason: EndReason, event: Event, limit: int
    ) -> Sequence[Ended]:
        live = [row for row in self._memory.sessions.values() if row.revoked_at is None]
        entries = []
        live.sort(key=lambda row: row.id)
        for row in [row for row in live if selects(selector, row)][:limit]:
            ended = row.ended(reason, event.at)
            self._memory.sessions[row.id] = ended
            entries.append(self._memory.feed_with(ended))
            self._memory.record(
                msgspec.structs.replace(
                    event, session_id=row.id, account_id=row.account_id
                )
            )
        return entries

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        seen = -1
        if after is not None and after.incarnation == self._memory.incarnation:
            # A cursor that is ahead of the feed was handed out before a backup was
            # restored.
            seen = after.sequence if after.sequence <= self._memory.fed else -1
        page = [one for one in self._memory.feed if one[0] > seen][:limit]
        more = len(page) == limit
        sequence = page[-1][0] if more else self._memory.fed
        entries = [entry for _, entry in page]
        return FeedPage(entries, Cursor(self._memory.incarnation, sequence), now, more)

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        for row in list(self._memory.sessions.values()):
            if row.account_id == account_id and row.revoked_at is None:
                self._memory.sessions[row.id] = msgspec.structs.replace(
                    row, roles=roles, version=row.version + 1
                )


class MemoryAccounts:
    """Implements `AccountStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, account: Account, event: Event) -> None:
        named = await self.by_name(account.name)
        if named is not None or account.id in self._memory.accounts:
            raise NameTaken
        self._memory.accounts[account.id] = account
        self._memory.record(event)

    async def by_name(self, name: str) -> Account | None:
        named = (row for row in self._memory.accounts.values() if row.name == name)
        return next(named, None)

    async def by_id(self, account_id: bytes) -> Account | None:
        return self._memory.accounts.get(account_id)

    async def list(self, *, after: str = "", limit: int) -> list[Account]:
        rows = sorted(self._memory.accounts.values(), key=lambda row: row.name)
        return [row for row in rows if row.name > after][:limit]

    async def swap(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        row = self._memory.accounts.get(before.id)
        if row is None or row.version != before.version:
            return False
        if after is None:
            del self._memory.accounts[before.id]
        else:
            self._memory.accounts[before.id] = after
        if event is not None:
            self._memory.record(event)
        return True


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
        self, costs: Sequence[Cost], *, forget: str | None = None
    ) -> None:
        if forget is not None:
            self._memory.throttle.pop(forget, None)
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
        return len(over) + before - self._swept_by_time()

    def _swept_by_time(self) -> int:
        swept = (
            self._memory.feed,
            self._memory.throttle,
            self._memory.used,
            self._memory.events,
        )
        return sum(map(len, swept))

    async def close(self) -> None:
        return
