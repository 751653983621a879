"""Sessions, and the feed of those that ended."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.core.actor import EndReason
from watchword.core.session import Alive, Ended, Session
from watchword.ports.audit import Event
from watchword.ports.credentials import Spending
from watchword.ports.sessions import (
    Change,
    Cursor,
    FeedPage,
    Selector,
    SessionExists,
    SessionLimit,
    SessionPage,
    beyond,
    page_of,
    selects,
)
from watchword.stores.memory.rows import Memory


class MemorySessions:
    """Implements `SessionStore`."""

    is_remote = False

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def create(
        self,
        session: Session,
        event: Event,
        limit: SessionLimit | None = None,
        spends: Spending | None = None,
    ) -> Sequence[Ended]:
        rows = self._memory.sessions
        if session.id in rows:
            raise SessionExists
        if spends is not None:
            self._memory.spend(spends.credential)
            self._memory.leave(spends.trail)
        rows[session.id] = session
        self._memory.record(event)
        if limit is None:
            return []
        live = [
            row
            for row in rows.values()
            if row.account_id == session.account_id
            and row.group != session.group
            and limit.counts(row)
        ]
        over = beyond(limit.most - 1, live, lambda row: row.rotated_at)
        return [self._end(row, limit.reason, limit.event) for row in over]

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
        client_id: str | None = None,
    ) -> SessionPage:
        stretch = [
            row
            for row in sorted(
                self._memory.sessions.values(), key=lambda row: row.id, reverse=True
            )
            if account_id in (None, row.account_id)
            and (after is None or row.id < after)
        ][:look]
        found = [
            row
            for row in stretch
            if alive.includes(row) and client_id in {None, row.client_id}
        ]
        onward = stretch[-1].id if len(stretch) == look else None
        return page_of(found, onward, limit)

    async def end(
        self, selector: Selector, reason: EndReason, event: Event, limit: int
    ) -> Sequence[Ended]:
        live = [row for row in self._memory.sessions.values() if row.revoked_at is None]
        live.sort(key=lambda row: row.id)
        meant = [row for row in live if selects(selector, row)][:limit]
        return [self._end(row, reason, event) for row in meant]

    def _end(self, row: Session, reason: EndReason, event: Event) -> Ended:
        ended = row.ended(reason, event.at)
        self._memory.sessions[row.id] = ended
        self._memory.record(
            msgspec.structs.replace(event, session_id=row.id, account_id=row.account_id)
        )
        return self._memory.feed_with(ended)

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
