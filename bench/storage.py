"""What sessions cost in each store, counted by the database itself.

Owns the reading of a data folder while the server runs on it, through `dbstat`. apsw,
not the sqlite3 module: a second, older SQLite must not touch the server's WAL. Of
PostgreSQL and Redis, what they say of themselves while the store is driven directly:
as many swaps as a busy day brings would take HTTP too long.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import asyncpg
import msgspec
from redis import Redis

from bench import servers
from bench.backends import Backend, StoreName, backend
from bench.filling import sessions
from bench.load import Plan
from bench.measuring import Effort
from bench.report import Row
from bench.servers import BenchFailed
from watchword.clocks import system_clock
from watchword.core.session import STRICT, Session
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import Change
from watchword.stores.redis.address import address_of

TABLE: Final = "sessions"
# Swaps of a batch, and batches under way, as a busy server has them.
BATCH: Final = 128
LANES: Final = 2
MAGIC: Final = b"SQLite format 3\0"


class Cost(msgspec.Struct, frozen=True):
    """The sessions table and its indexes: whole pages, and what is used of them.

    `largest` is the longest row's payload in the table; `file` is every page of the
    database, other tables and free pages too.
    """

    rows: int
    pages: int
    used: int
    largest: int
    file: int


def database_in(data: Path) -> Path:
    """The one SQLite file of a data folder."""
    for path in sorted(data.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    return path
    message = f"no SQLite database in {data}"
    raise BenchFailed(message)


def cost(data: Path) -> Cost:
    """Count now. Reads a snapshot; the server may go on writing."""
    connection = apsw.Connection(
        str(database_in(data)), flags=apsw.SQLITE_OPEN_READONLY
    )
    try:
        rows = connection.execute(f"SELECT count(*) FROM {TABLE}").get
        pages, used = connection.execute(
            "SELECT sum(pgsize), sum(pgsize - unused) FROM dbstat"
            " WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
            (TABLE,),
        ).get
        largest = connection.execute(
            "SELECT max(mx_payload) FROM dbstat WHERE name = ?", (TABLE,)
        ).get
        whole = connection.pragma("page_count") * connection.pragma("page_size")
    finally:
        connection.close()
    return Cost(rows, pages, used, largest, whole)


def bytes_per_session(folder: Path, effort: Effort) -> Row:
    """Bytes of the sessions table and its indexes per session, as refreshes add up."""
    data = folder / "data"
    detail: dict[str, Any] = {}

    def count(label: str) -> Cost:
        found = cost(data)
        detail[label] = (
            f"{found.rows} rows · {found.pages / found.rows:.0f} bytes each in"
            f" whole pages · {found.used / found.rows:.0f} used · longest row"
            f" {found.largest} · database {found.file / 1e6:.2f} MB"
        )
        return found

    with servers.watchword(data, core=None) as server:
        tokens = servers.sign_in_many(server, effort.sessions)
        count("after sign-in")

        def refresh(tokens: list[str], times: int) -> list[str]:
            plan = Plan(
                kind="refresh", port=server.port, tokens=tokens, per_token=times
            )
            report = servers.put_load(plan)
            if report.errors:
                detail[f"errors in {times} refreshes"] = report.errors
            return report.tokens

        tokens = refresh(tokens, 1)
        count("after 1 refresh of each")
        tokens = refresh(tokens, effort.refreshes - 1)
        count(f"after {effort.refreshes} refreshes of each")
        refresh(tokens[:1], effort.many_refreshes - effort.refreshes)
        last = count(f"after {effort.many_refreshes:,} refreshes of one")
    return Row(
        name="bytes-per-session",
        value=last.pages / last.rows,
        unit="bytes",
        budget="one row, ≤ 400 bytes",
        detail=detail,
    )


async def _create(stores: Stores, count: int) -> list[Session]:
    """New sessions, by the store's own verb."""
    made = list(sessions(count))
    for begin in range(0, count, BATCH):
        batch = made[begin : begin + BATCH]
        events = [
            Event.about(EventType.SIGN_IN, row, row.address, row.rotated_at)
            for row in batch
        ]
        await asyncio.gather(*map(stores.sessions.create, batch, events))
    return made


async def _swap(stores: Stores, rows: Sequence[Session], count: int) -> list[Session]:
    """The rows after `count` rotations in all, of each as often as of any other.

    In random order: who signed in together, and lies together, comes at other times.
    """
    left = count
    rows = random.sample(rows, len(rows))

    async def drive(mine: list[Session]) -> list[Session]:
        nonlocal left
        place = 0
        while left > 0:
            changes = [Change(row, _rotated(row)) for row in mine[place:][:BATCH]]
            left -= len(changes)
            if not all(await stores.sessions.swap(changes)):
                message = "a swap found another version than the one written last"
                raise BenchFailed(message)
            mine[place : place + len(changes)] = [change.after for change in changes]
            place = (place + len(changes)) % len(mine)
        return mine

    lanes = [drive(list(rows[lane::LANES])) for lane in range(LANES)]
    return [row for lane in await asyncio.gather(*lanes) for row in lane]


def _rotated(row: Session) -> Session:
    return row.rotated(
        row.generation + 1, os.urandom(32), row.address, STRICT, system_clock()
    )


def bytes_per_session_on(folder: Path, effort: Effort, store: StoreName) -> Row:
    """Bytes per session, as the database says, as swaps add up."""
    with backend(store, folder) as one:
        return asyncio.run(_cost_on(one, folder.name, effort))


async def _cost_on(one: Backend, name: str, effort: Effort) -> Row:
    count = effort.stored
    detail: dict[str, Any] = dict(one.told)

    async def measure(label: str) -> float:
        size = (await _size(one) - empty) / count
        detail[label] = f"{count:,} sessions · {size:.0f} bytes each"
        return size

    async with _opened(one):
        pass  # what opening makes is no session's
    empty = await _size(one)
    async with _opened(one) as stores:
        rows = await _create(stores, count)
        await stores.audit.last()  # by then all are where audit events are kept
    await measure("after sign-in")
    async with _opened(one) as stores:
        rows = await _swap(stores, rows, count)
    await measure("after 1 refresh of each")
    async with _opened(one) as stores:
        started = time.perf_counter()
        await _swap(stores, rows, effort.swaps)
        rate = effort.swaps / (time.perf_counter() - started)
    last = await measure(f"after {effort.swaps:,} more")
    detail[f"swaps /s, {BATCH} at a time, {LANES} under way"] = rate
    if one.name == "postgresql":
        detail |= await _heap(one)
    return Row(name=name, value=last, unit="bytes", detail=detail)


@asynccontextmanager
async def _opened(one: Backend) -> AsyncIterator[Stores]:
    """The store, opened and closed: what it counts is written down at its end."""
    stores = await one.open()
    try:
        yield stores
    finally:
        await stores.backend.close()


async def _size(one: Backend) -> int:
    """Bytes of the sessions' table with its indexes, or of all of Redis's memory."""
    if one.session_url is None:
        row = await _ask(one, "SELECT pg_total_relation_size('watchword.sessions')")
        return int(row[0])
    host, port = address_of(one.session_url).hosts[0]
    with Redis(host=host, port=port) as client:
        memory: Any = client.info("memory")
        return int(memory["used_memory"])


async def _heap(one: Backend) -> dict[str, Any]:
    """What PostgreSQL counted of the table's updates, and what is in its rows."""
    updated, hot, dead = await _ask(
        one,
        "SELECT n_tup_upd, n_tup_hot_upd, n_dead_tup FROM pg_stat_user_tables"
        " WHERE schemaname = 'watchword' AND relname = 'sessions'",
    )
    table, row = await _ask(
        one,
        "SELECT pg_table_size('watchword.sessions'), avg(pg_column_size(one.*))"
        " FROM watchword.sessions AS one",
    )
    return {
        "updates": f"{updated:,}, {hot / updated:.2%} of them HOT · {dead:,} dead rows",
        "table without indexes": f"{table / 1e6:.1f} MB · {row:.0f} bytes in a row",
    }


async def _ask(one: Backend, sql: str) -> Any:  # noqa: ANN401 - a row of anything
    connection = await asyncpg.connect(one.url)
    try:
        return await connection.fetchrow(sql)
    finally:
        await connection.close()
