"""Sessions and the feed of those that ended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Final

import apsw
import msgspec

from watchword.core.actor import EndReason
from watchword.core.session import Ended, Session, known_until
from watchword.errors import SecondFactorInvalid, StoreUnavailable
from watchword.ports.audit import Event
from watchword.ports.credentials import Spending
from watchword.ports.sessions import (
    Change,
    Cursor,
    FeedPage,
    SessionExists,
    SessionLimit,
)
from watchword.stores.sql.credentials import spend
from watchword.stores.sql.rows import (
    Row,
    as_row,
    others_row,
    session_of,
    swap_row,
    whole_swap_row,
)
from watchword.stores.sql.stretches import Stretches
from watchword.stores.sqlite.connections import Connections


class SqliteSessions:
    """Implements `SessionStore`."""

    is_remote = False

    def __init__(self, file: Connections) -> None:
        self._file = file
        self._sql = file.sql
        self._writer = file.writer
        self._loop_reader = file.loop_reader
        many = Stretches(file, self._end, live=("find_of_account", (None,)))
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
        def job(connection: apsw.Connection) -> Sequence[Ended]:
            if spends is not None and not self._file.carry_out(
                connection, spend(spends)
            ):
                raise SecondFactorInvalid
            connection.execute(self._sql["create_session"], as_row(session))
            if connection.changes() == 0:
                raise SessionExists
            self._file.record(connection, [event])
            if limit is None:
                return []
            values = others_row(session, limit)
            found = connection.execute(self._sql["too_many_of_account"], values)
            ids = sorted(row[0] for row in found)
            return self._end_in(connection, limit.reason, limit.event, ids)

        return await self._file.write(job, urgent=limit is not None)

    async def load(self, ids: Sequence[bytes]) -> Sequence[Session | None]:
        if len(ids) == 1:
            row = self._file.read_now("load_session", ids[0])
            return [session_of(row[0]) if row else None]
        try:
            with self._loop_reader:  # one transaction: each costs two system calls
                rows = self._loop_reader.executemany(
                    self._sql["load_session"], [(identifier,) for identifier in ids]
                )
                found = {row[0]: session_of(row) for row in rows}
        except apsw.Error as error:
            raise StoreUnavailable from error
        return [found.get(identifier) for identifier in ids]

    async def swap(self, changes: Sequence[Change]) -> Sequence[bool]:
        rows = [_swapping(change) for change in changes]

        def job(connection: apsw.Connection) -> Sequence[bool]:
            # By the number of changes: RETURNING would take half as long again.
            cursor, swapped = connection.cursor(), []
            for name, row in rows:
                cursor.execute(self._sql[name], row)
                swapped.append(connection.changes() == 1)
            made = list(compress(changes, swapped))
            ended = [c.after for c in made if c.after.revoked_at is not None]
            self._feed(connection, [session.feed_entry() for session in ended])
            events = [c.event for c in made if c.event is not None]
            self._file.record(connection, events)
            return swapped

        ending = any(change.after.revoked_at is not None for change in changes)
        return await self._writer.do(job, urgent=ending)

    async def _end(
        self, reason: EndReason, event: Event, ids: Sequence[bytes]
    ) -> Sequence[Ended]:
        return await self._writer.do(
            lambda connection: self._end_in(connection, reason, event, ids), urgent=True
        )

    def _end_in(
        self,
        connection: apsw.Connection,
        reason: EndReason,
        event: Event,
        ids: Sequence[bytes],
    ) -> Sequence[Ended]:
        values = [(event.at, reason, one) for one in ids]
        rows = list(connection.executemany(self._sql["end_one"], values))
        at = event.at
        entries = [Ended(row[0], at, known_until(at, *row[2:])) for row in rows]
        self._feed(connection, entries)
        replace = msgspec.structs.replace
        self._file.record(
            connection,
            [replace(event, session_id=row[0], account_id=row[1]) for row in rows],
        )
        return entries

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        # Sequence order is commit order, since only one transaction of all processes
        # writes at a time. The end is read first: an entry that is committed between
        # the two reads comes twice, and none is missed.
        incarnation, sequence = self._file.read_now("feed_end")[0]
        seen = 0
        if after is not None and after.incarnation == incarnation:
            # A cursor that is ahead of the feed was handed out before a backup was
            # restored.
            seen = after.sequence if after.sequence <= sequence else 0
        rows = [] if seen == sequence else self._file.read_now("feed", seen, limit)
        if more := len(rows) == limit:
            sequence = rows[-1][0]
        entries = [Ended(*row[1:]) for row in rows]
        return FeedPage(entries, Cursor(incarnation, sequence), now, more)

    def _feed(self, connection: apsw.Connection, entries: Sequence[Ended]) -> None:
        if entries:
            rows = [msgspec.structs.astuple(entry) for entry in entries]
            connection.executemany(self._sql["feed_entry"], rows)


def _swapping(change: Change) -> tuple[str, Row]:
    """The statement that makes the change, and its values."""
    if change.only_rotates:
        return "swap_session", swap_row(change)
    return "swap_whole_session", whole_swap_row(change)
