"""The default store: one machine, one file, through apsw and the SQLite inside it.

The file is in WAL mode with `synchronous=FULL`: an answer leaves only after the fsync
of its transaction. One thread writes (`writer.py`) and commits all waiting jobs at
once. A read of a few rows by key takes microseconds from the page cache and runs on the
event loop. Longer reads run in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import apsw
import msgspec

from watchword.core.limits import AUDIT_RETENTION, END_LIMIT, SWEEP_AFTER, SWEEP_LOOK
from watchword.core.session import Alive, Ended, Session, known_until
from watchword.core.throttle import Cost, give_back, take
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event, SessionPage, page_of
from watchword.ports.keys import SealedKey
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
from watchword.stores.sql_rows import (
    AFTER_ALL,
    Row,
    as_row,
    event_of,
    event_row,
    session_of,
    swap_row,
)
from watchword.stores.sqlite.identities import Identities


class SqliteStore(Identities):
    """Implements every port of `ports.py` on one file."""

    is_remote = False
    _sweep_from = b""

    # sessions

    async def create(self, session: Session, event: Event) -> None:
        def job(connection: apsw.Connection) -> None:
            connection.execute(self._sql["create_session"], as_row(session))
            self._record(connection, [event])

        await self._writer.do(job)

    async def load(self, ids: Sequence[bytes]) -> list[Session | None]:
        try:
            with self._loop_reader:  # one transaction: each costs two system calls
                rows = self._loop_reader.executemany(
                    self._sql["load_session"], [(identifier,) for identifier in ids]
                )
                found = {row[0]: session_of(row) for row in rows}
        except apsw.Error as error:
            raise StoreUnavailable from error
        return [found.get(identifier) for identifier in ids]

    async def swap(self, changes: Sequence[Change]) -> list[bool]:
        rows = [swap_row(change) for change in changes]

        def job(connection: apsw.Connection) -> list[bool]:
            # By the number of changes: RETURNING would take half as long again.
            cursor, swapped = connection.cursor(), []
            for row in rows:
                cursor.execute(self._sql["swap_session"], row)
                swapped.append(connection.changes() == 1)
            made = list(compress(changes, swapped))
            ended = [c.after for c in made if c.after.revoked_at is not None]
            self._feed(connection, [session.feed_entry() for session in ended])
            self._record(connection, [c.event for c in made if c.event is not None])
            return swapped

        ending = any(change.after.revoked_at is not None for change in changes)
        return await self._writer.do(job, urgent=ending)

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
        ((count, end),) = await self._query_in_thread(
            "stretch" + suffix, (begin, *mine, look)
        )
        if not count:
            return SessionPage([])
        bounds = (begin, end, limit, *msgspec.structs.astuple(alive), *mine)
        rows = await self._query_in_thread("list_sessions" + suffix, bounds)
        found = [session_of(row) for row in rows]
        return page_of(found, end if count == look else None, limit)

    async def end(
        self, selector: Selector, reason: str, event: Event, limit: int
    ) -> list[Ended]:
        if isinstance(selector, ById):
            return await self._end([selector.session_id], reason, event)
        name, values, after = _search(selector)
        ended: list[Ended] = []
        onward: bytes | None = after
        while onward is not None and len(ended) < limit:
            ids, onward = await self._found(name, values, onward, limit - len(ended))
            if ids:
                ended += await self._end(ids, reason, event)
        return ended

    async def _found(
        self, name: str, values: Row, after: bytes, limit: int
    ) -> tuple[list[bytes], bytes | None]:
        """The ids that match in the next stretch of rows, and where to go on.

        The second value is None after the last stretch.
        """
        rows = await self._query_in_thread(name, (*values, after, SWEEP_LOOK, limit))
        return [one for one, meant in rows if meant], rows[-1][0] if rows else None

    async def _end(
        self, ids: Sequence[bytes], reason: str, event: Event
    ) -> list[Ended]:
        values = [(event.at, reason, one) for one in ids]

        def job(connection: apsw.Connection) -> list[Ended]:
            rows = list(connection.executemany(self._sql["end_one"], values))
            at = event.at
            entries = [Ended(row[0], at, known_until(at, *row[2:])) for row in rows]
            self._feed(connection, entries)
            replace = msgspec.structs.replace
            self._record(
                connection,
                [replace(event, session_id=row[0], account_id=row[1]) for row in rows],
            )
            return entries

        return await self._writer.do(job, urgent=True)

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        # Sequence order is commit order, since only one transaction of all processes
        # writes at a time. The end is read first: an entry that is committed between
        # the two reads comes twice, and none is missed.
        incarnation, sequence = self._read("feed_end")[0]
        seen = 0
        if after is not None and after.incarnation == incarnation:
            # A cursor that is ahead of the feed was handed out before a backup was
            # restored.
            seen = after.sequence if after.sequence <= sequence else 0
        rows = [] if seen == sequence else self._read("feed", (seen, limit))
        if more := len(rows) == limit:
            sequence = rows[-1][0]
        entries = [Ended(*row[1:]) for row in rows]
        return FeedPage(entries, Cursor(incarnation, sequence), now, more)

    async def assign_roles(self, account_id: bytes, roles: tuple[str, ...]) -> None:
        given = " ".join(roles)
        onward: bytes | None = b""
        while onward is not None:
            mine = (account_id, None)
            ids, onward = await self._found("find_of_account", mine, onward, END_LIMIT)
            if ids:
                await self._write_many("assign_roles", [(given, one) for one in ids])

    async def sweep(self, now: int, limit: int) -> int:
        # Walks the table in order of key, one stretch per call. There is no index by
        # deadline, because it would be written at every refresh.
        edge = now - SWEEP_AFTER
        ids, end = await self._found("find_over", (edge,), self._sweep_from, limit)
        if end is None and self._sweep_from:  # at the end of the table: start again
            ids, end = await self._found("find_over", (edge,), b"", limit)
        self._sweep_from = end or b""
        over = [(one, edge) for one in ids]

        def job(connection: apsw.Connection) -> int:
            start = connection.total_changes()
            connection.executemany(self._sql["sweep_session"], over)
            connection.execute(self._sql["sweep_feed"], (now, limit, SWEEP_LOOK))
            connection.execute(self._sql["sweep_throttle"], (now, limit))
            connection.execute(self._sql["sweep_used_once"], (now, limit))
            connection.execute(self._sql["sweep_audit"], (now - AUDIT_RETENTION, limit))
            return connection.total_changes() - start

        return await self._writer.do(job)

    # throttle

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        def job(connection: apsw.Connection) -> int:
            counters = {
                cost.key: connection.execute(
                    self._sql["throttle_read"], (cost.key,)
                ).get
                for cost in costs
            }
            taken, wait = take(counters, costs, now)
            connection.executemany(self._sql["throttle_write"], taken.items())
            return wait

        return await self._writer.do(job)

    async def give_back(
        self, costs: Sequence[Cost], *, forget: str | None = None
    ) -> None:
        def job(connection: apsw.Connection) -> None:
            connection.execute(self._sql["throttle_forget"], (forget,))
            for cost in costs:
                row = connection.execute(self._sql["throttle_read"], (cost.key,)).get
                if row is not None:
                    values = (cost.key, give_back(row, cost))
                    connection.execute(self._sql["throttle_write"], values)

        await self._writer.do(job)

    # keys used once

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        def job(connection: apsw.Connection) -> list[bool]:
            rows = connection.executemany(self._sql["use_once"], uses)
            new = {row[0] for row in rows}
            return [key in new for key, _ in uses]

        return await self._writer.do(job) if uses else []

    # signing keys

    async def load_keys(self) -> tuple[int, list[SealedKey]]:
        try:
            with self._loop_reader:  # both reads see one snapshot
                revision = self._read("key_revision")[0][0]
                rows = self._read("keys")
        except apsw.Error as error:
            raise StoreUnavailable from error
        return revision, [SealedKey(*row) for row in rows]

    async def swap_keys(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        def job(connection: apsw.Connection) -> bool:
            if not list(
                connection.execute(self._sql["raise_key_revision"], (revision,))
            ):
                return False
            connection.execute(self._sql["drop_keys"])
            rows = [msgspec.structs.astuple(key) for key in keys]
            connection.executemany(self._sql["add_key"], rows)
            self._record(connection, [event])
            return True

        return await self._writer.do(job)

    # audit

    async def record(self, event: Event) -> None:
        await self._writer.do(lambda connection: self._record(connection, [event]))

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        rows = [(*event_row(event), place) for place, event in events]
        if rows:
            await self._write_many("adopt", rows)

    async def read_events(self, after: int, limit: int) -> list[tuple[int, Event]]:
        rows = await self._query_in_thread("read_events", (after, limit))
        return [event_of(row) for row in rows]

    async def last_event(self) -> int:
        last: int = self._read("last_event")[0][0]
        return last

    def _feed(self, connection: apsw.Connection, entries: Sequence[Ended]) -> None:
        if entries:
            rows = [msgspec.structs.astuple(entry) for entry in entries]
            connection.executemany(self._sql["feed_entry"], rows)


def _search(selector: ByAccount | ByClient | Before) -> tuple[str, Row, bytes]:
    """The statement that finds these sessions, its first values, and the first id."""
    match selector:
        case ByAccount(account_id, but, after):
            return "find_of_account", (account_id, but), after
        case ByClient(client_id, after):
            return "find_of_client", (client_id,), after
    return "find_signed_in_before", (selector.instant,), selector.after
