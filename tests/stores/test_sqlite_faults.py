"""The SQLite store when the disk is full, the file locked, the caller gone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.stores.on_file import opened, writing
from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE
from watchword.errors import StoreUnavailable
from watchword.ports import Stores
from watchword.ports.sessions import ById, Change
from watchword.stores.sql.files import load_statements
from watchword.stores.sqlite import connection
from watchword.testing.store_contract.examples import (
    a_session,
    an_event,
    identifier,
    living,
    put,
    rotated,
)


def noting(statements: list[str]) -> Callable[..., bool]:
    """A trace that lets every statement pass."""

    def trace(cursor: Any, statement: str, values: Any) -> bool:
        statements.append(statement)
        return True

    return trace


async def fill(stores: Stores, *, first: int = 1000) -> int:
    """Write until the store refuses; how many were written."""
    written = 0
    while True:
        try:
            await put(stores, a_session(first + written, user_agent="x" * 3000))
        except StoreUnavailable:
            return written
        written += 1


async def test_full_disk_is_told_and_passes(stores: Stores) -> None:
    """A full disk refuses writes, not reads, and is over when there is room."""
    row = a_session()
    await put(stores, row)
    pages = writing(stores).pragma("page_count")
    writing(stores).pragma("max_page_count", pages + 20)
    written = await fill(stores)
    assert written >= 5
    assert await stores.sessions.load([row.id]) == [row]
    assert len(await living(stores)) == written + 1
    with pytest.raises(StoreUnavailable):
        await put(stores, a_session(2, user_agent="x" * 3000))
    writing(stores).pragma("max_page_count", 2**31)
    await put(stores, a_session(2))
    assert await stores.sessions.swap([Change(row, rotated(row))]) == [True]
    assert await stores.audit.last() == written + 2


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from watchword.errors import StoreUnavailable
from watchword.stores import open_stores
from watchword.testing import SeededEntropy
from watchword.testing.store_contract.examples import a_session, living, put

async def main():
    stores = await open_stores(sys.argv[1], SeededEntropy())
    await put(stores, a_session(0))
    wal = Path(sys.argv[2] + "-wal").stat().st_size
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 60_000, unlimited))
    written = 0
    try:
        while written < 1000:
            await put(stores, a_session(1 + written))
            written += 1
    except StoreUnavailable:
        pass
    batch = [put(stores, a_session(2000 + n)) for n in range(50)]
    answers = await asyncio.gather(*batch, return_exceptions=True)
    assert all(isinstance(a, StoreUnavailable) for a in answers), answers
    assert len(await living(stores)) == written + 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    await put(stores, a_session(5000))
    await stores.backend.close()
    stores = await open_stores(sys.argv[1], SeededEntropy())
    assert len(await living(stores)) == written + 2
    await stores.backend.close()
    print(0 < written < 1000)

asyncio.run(main())
"""


async def test_wal_that_cannot_grow_is_told_and_passes(path: Path) -> None:
    """Where the operating system refuses to write, the process lives and recovers."""
    command = [sys.executable, "-c", FULL_DISK, f"sqlite:///{path}", str(path)]
    done = await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True
    )
    assert done.stdout == b"True\n"


async def test_locked_database_is_told_and_passes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked beyond the busy timeout: refused, nothing spent; then it works."""
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    stores = await opened(path)
    rows = [a_session(number) for number in range(20)]
    await put(stores, *rows)
    begun: list[str] = []
    writing(stores).exec_trace = noting(begun)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(
        *(stores.sessions.swap([Change(row, rotated(row))]) for row in rows),
        stores.sessions.end(ById(rows[0].id), EndReason.LOGOUT, an_event(), 1),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    # One wait for all that came together, not one wait for each.
    assert len(begun) <= 3
    assert await stores.sessions.load([row.id for row in rows]) == rows
    assert await stores.audit.last() == len(rows)
    other.execute("ROLLBACK")
    other.close()
    for row in rows:
        assert await stores.sessions.swap([Change(row, rotated(row))]) == [True]
    await stores.backend.close()


async def test_locked_at_the_start_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new database that another process holds is StoreUnavailable, then opens."""
    monkeypatch.setattr(connection, "BUSY_MS", 50)
    path.parent.mkdir()
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", "wal")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="cannot open"):
        await opened(path)
    other.execute("ROLLBACK")
    other.close()
    await (await opened(path)).backend.close()


async def test_closed_store_says_so(path: Path) -> None:
    """After close every verb raises StoreUnavailable, and closing again is nothing."""
    stores = await opened(path)
    await stores.backend.close()
    await stores.backend.close()
    calls: list[Callable[[], Any]] = [
        stores.backend.check,
        stores.keys.load,
        stores.audit.last,
        lambda: stores.sessions.load([identifier(1)]),
        lambda: living(stores),
        lambda: stores.sessions.ended(None, 0, FEED_PAGE),
        lambda: stores.accounts.by_name("ada"),
        lambda: stores.audit.record(an_event()),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call()


async def test_cancelled_list_leaves_the_store_usable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes away during a long list disturbs neither the next nor the close."""
    stores = await opened(path)
    statement = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT"
    slow = f"{statement} 1000000) SELECT count(*) FROM n"
    monkeypatch.setitem(load_statements("sqlite"), "check", slow)
    listing = asyncio.create_task(stores.backend.check())
    await asyncio.sleep(0)  # handed to the thread
    listing.cancel()
    assert await living(stores) == []
    listing = asyncio.create_task(stores.backend.check())
    await asyncio.sleep(0)
    listing.cancel()
    await stores.backend.close()
