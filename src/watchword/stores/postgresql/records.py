"""The throttle, used keys, the key ring and the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from operator import itemgetter
from typing import Final

import asyncpg
import msgspec

from watchword.core.limits import AUDIT_RETENTION
from watchword.core.throttle import Cost, give_back, take
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event
from watchword.ports.keys import SealedKey
from watchword.stores.postgresql import connections
from watchword.stores.postgresql.connection import Connection, Rows
from watchword.stores.postgresql.connections import Result
from watchword.stores.postgresql.identities import Identities
from watchword.stores.sql_rows import event_of, event_row

_BY_KEY: Final = itemgetter(0)
_LOOK_AGAIN: Final = 0.01


class Records(Identities):
    """Implements `Throttle`, `ReplayCache`, `KeyStore`, `AuditLog`."""

    # throttle

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        keys = sorted((cost.key,) for cost in costs)

        async def work(line: Connection) -> int:
            counters = await _locked(line, keys)
            taken, wait = take(counters, costs, now)
            if taken:
                rows = [
                    (*item, counters.get(item[0])) for item in sorted(taken.items())
                ]
                if len(await line.fetch_many("throttle_write", rows)) < len(rows):
                    # Repeated, as if the server had raised it: a counter has changed.
                    raise asyncpg.SerializationError
            return wait

        return await self._in_turn(work)

    async def give_back(
        self, costs: Sequence[Cost], *, forget: str | None = None
    ) -> None:
        given = {cost.key: cost for cost in costs}
        keys = sorted((key,) for key in {*given, *([forget] if forget else [])})
        if not keys:
            return

        async def work(line: Connection) -> None:
            counters = await _locked(line, keys)
            if forget is not None:
                await line.fetch("throttle_forget", forget)
            rows = [
                (key, give_back(counter, given[key]), counter)
                for key, counter in counters.items()
                if key != forget
            ]
            if rows:
                await line.fetch_many("throttle_write", rows)

        await self._in_turn(work)

    async def _in_turn(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        # One call after the other. Otherwise each call that waits for the lock of one
        # name would hold a connection, until none was left for refreshes and the feed.
        try:
            async with asyncio.timeout(connections.QUERY_TIMEOUT), self._turn:
                return await self._run_whole(work)
        except TimeoutError as error:
            raise StoreUnavailable from error

    # keys used once

    async def use_once(self, uses: Sequence[tuple[bytes, int]]) -> list[bool]:
        rows = await self._fetch_many("use_once", sorted(uses, key=_BY_KEY))
        new = {row[0] for row in rows}
        return [key in new for key, _ in uses]

    # signing keys

    async def load_keys(self) -> tuple[int, list[SealedKey]]:
        rows = await self._fetch("keys")
        keys = [SealedKey(*rest) for _, *rest in rows if rest[0] is not None]
        return rows[0][0], keys

    async def swap_keys(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        rows = [msgspec.structs.astuple(key) for key in keys]

        async def work(line: Connection) -> bool:
            if not await line.fetch("raise_key_revision", revision):
                return False
            await line.fetch("drop_keys")
            if rows:
                await line.fetch_many("add_key", rows)
            await line.fetch("record", *event_row(event))
            return True

        return await self._run_whole(work)

    # audit

    async def record(self, event: Event) -> None:
        await self._fetch("record", *event_row(event))

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        rows = [(*event_row(event), place) for place, event in events]
        await self._fetch_many("adopt", rows)

    async def read_events(self, after: int, limit: int) -> list[tuple[int, Event]]:
        async def work(line: Connection) -> Rows:
            rows = await line.fetch("read_events", after, limit)
            if rows and rows[-1][0] - after > len(rows):
                await _writers_done(line)
                last = rows[-1][0]
                rows = await line.fetch("read_events", after, limit)
                rows = [row for row in rows if row[0] <= last]
            return rows

        return [event_of(row) for row in await self._run(work)]

    async def last_event(self) -> int:
        ((last,),) = await self._fetch("last_event")
        return int(last)

    async def _sweep_records(self, now: int, limit: int) -> int:
        count = 0
        for name, instant in (
            ("sweep_feed", now),
            ("sweep_throttle", now),
            ("sweep_used_once", now),
            ("sweep_audit", now - AUDIT_RETENTION),
        ):
            count += len(await self._fetch(name, instant, limit))
        return count


async def _locked(line: Connection, keys: Sequence[tuple[str]]) -> dict[str, int]:
    """The counters that exist, locked until the end of the transaction."""
    rows = await line.fetch_many("throttle_lock", keys)
    return {row[0]: row[1] for row in rows}


async def _writers_done(line: Connection) -> None:
    """Wait for the transactions that are writing to the audit log now.

    A missing sequence number may belong to one of them: it was drawn before numbers
    that are visible already. A reader that follows the log would go on past it and
    never see its event. Once these transactions are over, the event is visible or will
    never be.
    """
    writing = set(await line.fetch("audit_writers"))
    while writing:
        await asyncio.sleep(_LOOK_AGAIN)
        writing &= set(await line.fetch("audit_writers"))
