"""The reference store: plain dictionaries, for tests. Nothing outlives the process.

Every verb runs to its end without awaiting, so the event loop makes it atomic. Where
another store behaves differently under the contract suite, that store is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec

from watchword.clocks import Entropy
from watchword.core.limits import AUDIT_RETENTION, SWEEP_AFTER
from watchword.core.session import Alive, Ended, Session
from watchword.core.throttle import Cost, give_back, take
from watchword.errors import NameTaken
from watchword.ports.accounts import Account
from watchword.ports.audit import Event, SessionPage, page_of
from watchword.ports.clients import Client
from watchword.ports.keys import SealedKey
from watchword.ports.sessions import (
    ByAccount,
    ByClient,
    ById,
    Change,
    Cursor,
    FeedPage,
    Selector,
)
from watchword.stores.sql_files import Migration


class MemoryStore:
    """Implements every port of `ports.py`."""

    is_remote = False

    @classmethod
    async def open(cls, url: str, entropy: Entropy) -> Self:
        return cls(url, entropy)

    @classmethod
    async def migrate(cls, url: str, *, apply: bool) -> list[Migration]:
        del url, apply
        return []

    def __init__(self, url: str, entropy: Entropy) -> None:
        del url
        self._incarnation = entropy(8)
        self._sessions: dict[bytes, Session] = {}
        self._feed: list[tuple[int, Ended]] = []
        self._fed = 0
        self._accounts: dict[bytes, Account] = {}
        self._clients: dict[str, Client] = {}
        self._throttle: dict[str, int] = {}
        self._used: dict[bytes, int] = {}
        self._ring: tuple[int, list[SealedKey]] = (0, [])
        self._events: list[tuple[int, Event]] = []
        self._recorded = 0
        self._adopted: set[str] = set()

    # sessions

    async def create(self, session: Session, event: Event) -> None:
        self._sessions[session.id] = session
        self._record(event)

    async def load(self, ids: Sequence[bytes]) -> list[Session | None]:
        return [self._sessions.get(identifier) for identifier in ids]

    async def swap(self, changes: Sequence[Change]) -> list[bool]:
        return [self._swap(change) for change in changes]

    def _swap(self, change: Change) -> bool:
        row = self._sessions.get(change.before.id)
        if row is None or row.version != change.before.version:
            return False
        self._sessions[row.id] = change.after
        if change.after.revoked_at is not None:
            self._feed_with(change.after)
        if change.event is not None:
            self._record(change.event)
        return True

    async def list_sessions(
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
                self._sessions.values(), key=lambda row: row.id, reverse=True
            )
            if account_id in (None, row.account_id)
            and (after is None or row.id < after)
        ][:look]
        found = [row for row in stretch if alive.includes(row)]
        onward = stretch[-1].id if len(stretch) == look else None
        return page_of(found, onward, limit)

    async def end(
        self, selector: Selector, reason: str, event: Event, limit: int
    ) -> list[Ended]:
        live = [row for row in self._sessions.values() if row.revoked_at is None]
        entries = []
        live.sort(key=lambda row: row.id)
        for row in [row for row in live if _is_meant(row, selector)][:limit]:
            ended = row.ended(reason, event.at)
            self._sessions[row.id] = ended
            entries.append(self._feed_with(ended))
            self._record(
                msgspec.structs.replace(
                    event, session_id=row.id, account_id=row.account_id
                )
            )
        return entries

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        seen = -1
        if after is not None and after.incarnation == self._incarnation:
            # A cursor that is ahead of the feed was handed out before a backup was
            # restored.
            seen = after.sequence if after.sequence <= self._fed else -1
        page = [one for one in self._feed if one[0] > seen][:limit]
        more = len(page) == limit
        sequence = page[-1][0] if more else self._fed
        entries = [entry for _, entry in page]
        return FeedPage(entries, Cursor(self._incarnation, sequence), now, more)

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        for row in list(self._sessions.values()):
            if row.account_id == account_id and row.revoked_at is None:
                self._sessions[row.id] = msgspec.structs.replace(
                    row, roles=roles, version=row.version + 1
                )

    async def sweep(self, now: int, limit: int) -> int:
        over = [
            row.id
            for row in self._sessions.values()
            if row.idle_expires_at < now - SWEEP_AFTER
        ][:limit]
        for identifier in over:
            del self._sessions[identifier]
        before = self._swept_by_time()
        self._feed = [item for item in self._feed if item[1].until > now]
        self._throttle = {key: at for key, at in self._throttle.items() if at > now}
        self._used = {key: until for key, until in self._used.items() if until > now}
        kept = now - AUDIT_RETENTION
        self._events = [item for item in self._events if item[1].at >= kept]
        return len(over) + before - self._swept_by_time()

    def _swept_by_time(self) -> int:
        swept = (self._feed, self._throttle, self._used, self._events)
        return sum(map(len, swept))

    def _feed_with(self, session: Session) -> Ended:
        entry = session.feed_entry()
        self._fed += 1
        self._feed.append((self._fed, entry))
        return entry

    # accounts

    async def add_account(self, account: Account, event: Event) -> None:
        named = await self.account_by_name(account.name)
        if named is not None or account.id in self._accounts:
            raise NameTaken
        self._accounts[account.id] = account
        self._record(event)

    async def account_by_name(self, name: str) -> Account | None:
        named = (row for row in self._accounts.values() if row.name == name)
        return next(named, None)

    async def account_by_id(self, account_id: bytes) -> Account | None:
        return self._accounts.get(account_id)

    async def list_accounts(self, *, after: str = "", limit: int) -> list[Account]:
        rows = sorted(self._accounts.values(), key=lambda row: row.name)
        return [row for row in rows if row.name > after][:limit]

    async def swap_account(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        row = self._accounts.get(before.id)
        if row is None or row.version != before.version:
            return False
        if after is None:
            del self._accounts[before.id]
        else:
            self._accounts[before.id] = after
        if event is not None:
            self._record(event)
        return True

    # clients

    async def add_client(self, client: Client, event: Event) -> None:
        if client.id in self._clients:
            raise NameTaken
        self._clients[client.id] = client
        self._record(event)

    async def load_client(self, client_id: str) -> Client | None:
        return self._clients.get(client_id)

    async def list_clients(self, *, after: str = "", limit: int) -> list[Client]:
        ids = sorted(key for key in self._clients if key > after)
        return [self._clients[client_id] for client_id in ids[:limit]]

    async def swap_client(self, before: Client, after: Client, event: Event) -> bool:
        row = self._clients.get(before.id)
        if row is None or row.version != before.version:
            return False
        self._clients[before.id] = after
        self._record(event)
        return True

    # throttle, keys used once

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        taken, wait = take(
            {c.key: self._throttle.get(c.key) for c in costs}, costs, now
        )
        self._throttle.update(taken)
        return wait

    async def give_back(
        self, costs: Sequence[Cost], *, forget: str | None = None
    ) -> None:
        if forget is not None:
            self._throttle.pop(forget, None)
        for cost in costs:
            if cost.key in self._throttle:
                self._throttle[cost.key] = give_back(self._throttle[cost.key], cost)

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        first = [key not in self._used for key, _ in uses]
        self._used = dict(uses) | self._used
        return first

    # signing keys and audit

    async def load_keys(self) -> tuple[int, list[SealedKey]]:
        return self._ring

    async def swap_keys(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        if self._ring[0] != revision:
            return False
        self._ring = (revision + 1, list(keys))
        self._record(event)
        return True

    async def record(self, event: Event) -> None:
        self._record(event)

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        for place, event in events:
            if place not in self._adopted:
                self._adopted.add(place)
                self._record(event)

    async def read_events(self, after: int, limit: int) -> list[tuple[int, Event]]:
        return [item for item in self._events if item[0] > after][:limit]

    async def last_event(self) -> int:
        return self._recorded

    def _record(self, event: Event) -> None:
        self._recorded += 1
        self._events.append((self._recorded, event))

    # the store itself

    async def check(self) -> None:
        return

    async def close(self) -> None:
        return


def _is_meant(row: Session, selector: Selector) -> bool:
    match selector:
        case ById(session_id):
            return row.id == session_id
        case ByAccount(account_id, but, after):
            mine = row.account_id == account_id and row.id != but
            return mine and row.id > after
        case ByClient(client_id, after):
            return row.id > after and row.client_id == client_id
    return row.id > selector.after and row.authenticated_at < selector.instant
