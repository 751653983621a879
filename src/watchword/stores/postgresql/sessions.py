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
from watchword.errors import SecondFactorInvalid
from watchword.ports.audit import Event
from watchword.ports.credentials import Spending
from watchword.ports.sessions import (
    Change,
    Cursor,
    FeedPage,
    SessionExists,
    SessionLimit,
)
from watchword.stores.postgresql.connections import NO_EVENT, OVERLAP, Connections
from watchword.stores.sql.credentials import spend
from watchword.stores.sql.database import Plan
from watchword.stores.sql.rows import (
    AFTER_ALL,
    Row,
    as_row,
    event_row,
    others_row,
    session_of,
    swap_row,
    whole_swap_row,
)
from watchword.stores.sql.stretches import Stretches

_BY_ID: Final = itemgetter(0)  # the id in a `swap_row`
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

    async def create(
        self,
        session: Session,
        event: Event,
        limit: SessionLimit | None = None,
        spends: Spending | None = None,
    ) -> Sequence[Ended]:
        created = (*as_row(session), *event_row(event))
        if limit is None and spends is None:
            if not await self._database.query("create_session", *created):
                raise SessionExists
            return []

        def plan() -> Plan[Sequence[Ended]]:
            if limit is not None:
                yield "read_committed", [()]
                yield "lock_sessions_of_account", [(session.account_id,)]
            if spends is not None and not (yield from spend(spends)):
                raise SecondFactorInvalid
            if not (yield "create_session", [created]):
                raise SessionExists
            if limit is None:
                return []
            found = yield "too_many_of_account", [others_row(session, limit)]
            ids = sorted(row[0] for row in found)
            rows = yield "end_session", _ending(limit.reason, limit.event, ids)
            return [Ended(one, limit.event.at, until) for one, until in rows]

        return await self._database.write_plan(plan)

    async def load(self, ids: Sequence[bytes]) -> Sequence[Session | None]:
        rows = await self._database.query("load_sessions", ids)
        found = {row[0]: session_of(row) for row in rows}
        return [found.get(one) for one in ids]

    async def swap(self, changes: Sequence[Change]) -> Sequence[bool]:
        plain = all(change.event is None and change.only_rotates for change in changes)
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
        values = _ending(reason, event, ids)
        rows = await self._database.write_many("end_session", values)
        by_others = set(ids) - {row[0] for row in rows}
        await self._database.write_many(
            "record_again", [(one,) for one in sorted(by_others)]
        )
        return [Ended(one, event.at, until) for one, until in rows]

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


def _ending(reason: EndReason, event: Event, ids: Sequence[bytes]) -> Sequence[Row]:
    """The values by which these sessions end, each with its feed entry and event."""
    # Account and session of the event are taken from the row.
    kind, at, _, _, *rest = event_row(event)
    leeway = known_until(0, 0, 0)
    return [(one, at, reason, leeway, kind, *rest) for one in ids]


def _whole_row(change: Change) -> Row:
    """The values of a whole swap, then its feed entry and its event, if any."""
    after, event = change.after, change.event
    until = None if after.revoked_at is None else after.feed_entry().until
    recorded = NO_EVENT if event is None else event_row(event)
    return (*whole_swap_row(change), until, *recorded)


def _place(cursor: Cursor) -> tuple[int, bytes]:
    """Where a read begins: the instant of the last known entry, and its session's id.

    A new read begins a little before its cursor, because commits do not become visible
    in the order of their instants.
    """
    if cursor.within:
        return int.from_bytes(cursor.within[:8]), cursor.within[8:]
    return cursor.sequence - _OVERLAP, AFTER_ALL
