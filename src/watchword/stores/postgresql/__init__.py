"""The store for several machines: PostgreSQL, through asyncpg, also behind a pooler.

Sessions and the feed are here, the rest is in `records.py` and `identities.py`. A batch
is one exchange: loading takes one statement, swapping a statement by id for each row.
Rows are locked in order of their ids, by a statement that names the version that a row
must have: a verdict on a row that has changed since is thus not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

from watchword.core.limits import END_LIMIT, SECOND, SWEEP_AFTER, SWEEP_LOOK
from watchword.core.session import Alive, Ended, Session, known_until
from watchword.ports.audit import Event, SessionPage, page_of
from watchword.ports.sessions import (
    Before,
    ByAccount,
    ByClient,
    ById,
    Change,
    Cursor,
    FeedPage,
    Selector,
)
from watchword.stores.postgresql.connections import NO_EVENT, OVERLAP
from watchword.stores.postgresql.records import Records
from watchword.stores.sql_rows import (
    AFTER_ALL,
    Row,
    as_row,
    event_row,
    session_of,
    swap_row,
)

_BY_ID: Final = itemgetter(8)  # the id in a `swap_row`
_OVERLAP: Final = OVERLAP * SECOND  # in microseconds, as the server's clock


class PostgresqlStore(Records):
    """Implements every port of `ports.py` on a database."""

    is_remote = True
    _sweep_from = b""

    async def create(self, session: Session, event: Event) -> None:
        await self._fetch("create_session", *as_row(session), *event_row(event))

    async def load(self, ids: Sequence[bytes]) -> list[Session | None]:
        rows = await self._fetch("load_sessions", ids)
        found = {row[0]: session_of(row) for row in rows}
        return [found.get(one) for one in ids]

    async def swap(self, changes: Sequence[Change]) -> list[bool]:
        plain = all(
            change.event is None and change.after.revoked_at is None
            for change in changes
        )
        if plain:
            name, rows = "swap_session", [swap_row(change) for change in changes]
        else:
            name, rows = "swap_session_and_tell", [_told(change) for change in changes]
        rows.sort(key=_BY_ID)
        swapped = {row[0] for row in await self._fetch_many(name, rows)}
        return [change.before.id in swapped for change in changes]

    async def list_sessions(
        self,
        account_id: bytes | None,
        alive: Alive,
        *,
        after: bytes | None = None,
        limit: int,
        look: int,
    ) -> SessionPage:
        begin = AFTER_ALL if after is None else after
        suffix, mine = (
            ("", ()) if account_id is None else ("_of_account", (account_id,))
        )
        stretch = await self._fetch("stretch" + suffix, begin, *mine, look)
        if not stretch:
            return SessionPage([])
        ((end, count),) = stretch
        bounds = (begin, end, limit, *msgspec.structs.astuple(alive), *mine)
        rows = await self._fetch("list_sessions" + suffix, *bounds)
        found = [session_of(row) for row in rows]
        return page_of(found, end if count == look else None, limit)

    async def end(
        self, selector: Selector, reason: str, event: Event, limit: int
    ) -> list[Ended]:
        if isinstance(selector, ById):
            return await self._end([selector.session_id], reason, event)
        name, values, after = _search(selector)
        ended: list[Ended] = []
        while len(ended) < limit:
            left = limit - len(ended)
            rows = await self._fetch(name, *values, after, left)
            if not rows:
                break
            ended += await self._end(
                [one for one, meant in rows if meant], reason, event
            )
            after = rows[-1][0]
        return ended

    async def _end(self, ids: list[bytes], reason: str, event: Event) -> list[Ended]:
        # Account and session of the event are taken from the row.
        kind, at, _, _, *rest = event_row(event)
        leeway = known_until(0, 0, 0)
        values = [(one, at, reason, leeway, kind, *rest) for one in ids]
        rows = await self._fetch_many("end_session", values)
        by_others = set(ids) - {row[0] for row in rows}
        await self._fetch_many("record_again", [(one,) for one in sorted(by_others)])
        return [Ended(one, at, until) for one, until in rows]

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        asked = after or Cursor(b"", 0)
        place = _place(asked)
        told = await self._fetch(
            "feed", asked.incarnation, asked.sequence, *place, limit
        )
        incarnation, clock, newest = told[0][:3]
        honoured = asked.incarnation == incarnation and asked.sequence <= clock
        reading = honoured and asked.within != b""
        # By the server's clock. Entries recorded after this are left for the next read.
        begun = asked.sequence if reading else clock
        rows = [] if newest is None else told
        entries = [Ended(*row[3:]) for row in rows]
        if len(rows) == limit:
            last = rows[-1][2].to_bytes(8) + rows[-1][3]
            return FeedPage(entries, Cursor(incarnation, begun, last), now, more=True)
        if rows or reading:
            newest = rows[-1][2] if rows else place[0]
            # When no entry has been recorded for some time, the cursor moves on past
            # the newest one, so that it is not read again and again.
            quiet = clock - newest >= 2 * _OVERLAP
            sequence = min(begun, newest + _OVERLAP if quiet else newest)
        else:  # no new entry: a cursor that was honoured stays good
            sequence = asked.sequence if honoured else clock
        return FeedPage(entries, Cursor(incarnation, sequence), now)

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        given, after = " ".join(roles), b""
        find = "live_of_account", account_id, SWEEP_LOOK
        while rows := await self._fetch(*find, after, END_LIMIT):
            live = [(one, given) for one, meant in rows if meant]
            await self._fetch_many("assign_roles", live)
            after = rows[-1][0]

    async def sweep(self, now: int, limit: int) -> int:
        # Walks the table in order of key, one stretch per call. There is no index by
        # deadline, because it would be written at every refresh.
        begin = self._sweep_from
        stretch = await self._fetch("sweep_step", begin, SWEEP_LOOK)
        if not stretch and begin:  # at the end of the table: start again
            begin = b""
            stretch = await self._fetch("sweep_step", begin, SWEEP_LOOK)
        count = 0
        for (end,) in stretch:
            over = (begin, end, now - SWEEP_AFTER, limit)
            count = len(await self._fetch("sweep_sessions", *over))
            if count < limit:
                self._sweep_from = end
        return count + await self._sweep_records(now, limit)


def _told(change: Change) -> Row:
    """The values of a swap, followed by its feed entry and its event, if any."""
    after, event = change.after, change.event
    until = None if after.revoked_at is None else after.feed_entry().until
    told = NO_EVENT if event is None else event_row(event)
    return (*swap_row(change), until, *told)


def _place(cursor: Cursor) -> tuple[int, bytes]:
    """Where a read begins: the instant of the last known entry, and its session's id.

    A new read begins a little before its cursor, because commits do not become visible
    in the order of their instants.
    """
    if cursor.within:
        return int.from_bytes(cursor.within[:8]), cursor.within[8:]
    return cursor.sequence - _OVERLAP, AFTER_ALL


def _search(selector: ByAccount | ByClient | Before) -> tuple[str, Row, bytes]:
    """The statement that finds these sessions, its first values, and the first id."""
    match selector:
        case ByAccount(account_id, but, after):
            return "find_of_account", (account_id, but, SWEEP_LOOK), after
        case ByClient(client_id, after):
            return "find_of_client", (client_id, SWEEP_LOOK), after
    return "find_signed_in_before", (selector.instant, SWEEP_LOOK), selector.after
