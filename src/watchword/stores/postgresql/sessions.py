"""Sessions and the feed of those that ended.

A batch is one exchange: loading takes one statement, swapping a statement by id for
each row. Rows are locked in order of their ids, by a statement that names the version
that a row must have: a verdict on a row that has changed since is thus not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from watchword.core.actor import EndReason
from watchword.core.limits import SECOND
from watchword.core.session import Ended, Session, known_until
from watchword.ports.audit import Event
from watchword.ports.sessions import Change, Cursor, FeedPage
from watchword.stores.postgresql.connections import NO_EVENT, OVERLAP, Connections
from watchword.stores.sql.rows import (
    AFTER_ALL,
    Row,
    as_row,
    event_row,
    proof_row,
    session_of,
    swap_row,
)
from watchword.stores.sql.stretches import Stretches

_BY_ID: Final = itemgetter(8)  # the id in a `swap_row`
_OVERLAP: Final = OVERLAP * SECOND  # in microseconds, as the server's clock


class PostgresqlSessions:
    """Implements `SessionStore`."""

    is_remote = True

    def __init__(self, database: Connections) -> None:
        self._database = database
        many = Stretches(database, self._end, live=("live_of_account", ()))
        self.list: Final = many.list_sessions
        self.end: Final = many.end
        self.assign_roles: Final = many.assign_roles

    async def create(self, session: Session, event: Event) -> None:
        await self._database.query(
            "create_session", *as_row(session), *event_row(event)
        )

    async def load(self, ids: Sequence[bytes]) -> Sequence[Session | None]:
        rows = await self._database.query("load_sessions", ids)
        found = {row[0]: session_of(row) for row in rows}
        return [found.get(one) for one in ids]

    async def swap(self, changes: Sequence[Change]) -> Sequence[bool]:
        plain = all(
            change.event is None
            and change.after.revoked_at is None
            and not change.proves
            for change in changes
        )
        if plain:
            name, rows = "swap_session", [swap_row(change) for change in changes]
        else:
            name, rows = "swap_whole_session", [_whole_row(one) for one in changes]
        rows.sort(key=_BY_ID)
        swapped = {row[0] for row in await self._database.write_many(name, rows)}
        return [change.before.id in swapped for change in changes]

    async def _end(
        self, reason: EndReason, event: Event, ids: Sequence[bytes]
    ) -> Sequence[Ended]:
        # Account and session of the event are taken from the row.
        kind, at, _, _, *rest = event_row(event)
        leeway = known_until(0, 0, 0)
        values = [(one, at, reason, leeway, kind, *rest) for one in ids]
        rows = await self._database.write_many("end_session", values)
        by_others = set(ids) - {row[0] for row in rows}
        await self._database.write_many(
            "record_again", [(one,) for one in sorted(by_others)]
        )
        return [Ended(one, at, until) for one, until in rows]

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        asked = after or Cursor(b"", 0)
        place = _place(asked)
        found = await self._database.query(
            "feed", asked.incarnation, asked.sequence, *place, limit
        )
        incarnation, clock, newest = found[0][:3]
        honoured = asked.incarnation == incarnation and asked.sequence <= clock
        reading = honoured and asked.within != b""
        # By the server's clock. Entries recorded after this are left for the next read.
        begun = asked.sequence if reading else clock
        rows = [] if newest is None else found
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


def _whole_row(change: Change) -> Row:
    """The values of a swap: with what was proved, its feed entry and its event."""
    after, event = change.after, change.event
    until = None if after.revoked_at is None else after.feed_entry().until
    recorded = NO_EVENT if event is None else event_row(event)
    return (*swap_row(change), *proof_row(after), until, *recorded)


def _place(cursor: Cursor) -> tuple[int, bytes]:
    """Where a read begins: the instant of the last known entry, and its session's id.

    A new read begins a little before its cursor, because commits do not become visible
    in the order of their instants.
    """
    if cursor.within:
        return int.from_bytes(cursor.within[:8]), cursor.within[8:]
    return cursor.sequence - _OVERLAP, AFTER_ALL
