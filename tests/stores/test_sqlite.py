"""What the SQLite store promises beyond the contract: file, faults, size."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from watchword.errors import (
    KeyRingError,
    SchemaError,
    SettingsError,
    StoreUnavailable,
)
from watchword.keys import KeyRing, Vault, generate
from watchword.ports import Change, OneSession
from watchword.stores import open_store
from watchword.stores.sqlite import SqliteStore, database
from watchword.testing import ManualClock, SeededEntropy
from watchword.testing.store_contract.examples import (
    a_session,
    an_account,
    an_event,
    identifier,
    rotated,
)
from watchword.testing.store_contract.sessions import put

ADDRESS = "203.0.113.107"
USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/138.0.0.0 Safari/537.3"
)
SECRET, OTHER_SECRET = b"s" * 32, b"o" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "watchword.db"


def opened(path: Path) -> SqliteStore:
    return SqliteStore(f"sqlite:///{path}", SeededEntropy())


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = opened(path)
    yield store
    await store.close()


def writing(store: SqliteStore) -> apsw.Connection:
    """The connection that the store writes with."""
    return store._writer._connection


def size_of(path: Path) -> int:
    return path.stat().st_size


def modes_in(folder: Path) -> list[int]:
    return [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()]


def noting(statements: list[str]) -> Callable[..., bool]:
    """A trace that lets every statement pass."""

    def trace(cursor: Any, statement: str, values: Any) -> bool:
        statements.append(statement)
        return True

    return trace


def sql(path: Path, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
    """What somebody with the file at hand does to it."""
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(statement, values))
    finally:
        connection.close()


# the file


@pytest.mark.parametrize("name", ["relative.db", "with blank.db", "ünï.db"])
async def test_url_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Three slashes are relative to the working folder, four are absolute."""
    monkeypatch.chdir(tmp_path)
    for number, base in enumerate(("", f"{tmp_path}/")):
        file = f"{number}{name}"
        store = await open_store(f"sqlite:///{base}{file}", SeededEntropy())
        await store.close()
        assert (tmp_path / file).exists()


async def test_unknown_store_is_a_settings_fault() -> None:
    """A scheme that no store has is told together with those that there are."""
    with pytest.raises(SettingsError, match=r"'oracle' is none of memory, .*sqlite"):
        await open_store("oracle://db", SeededEntropy())


async def test_only_the_owner_reads_any_of_the_files(tmp_path: Path) -> None:
    """Database, WAL and index have mode 0600, in an open folder too."""
    before = os.umask(0o022)
    try:
        store = opened(tmp_path / "watchword.db")
        await put(store, a_session())
        modes = modes_in(tmp_path)
        await store.close()
    finally:
        os.umask(before)
    assert modes == [0o600] * 3


async def test_answers_leave_after_the_disk_has_them(store: SqliteStore) -> None:
    """The writer commits to a WAL, with an fsync for each transaction."""
    assert writing(store).pragma("journal_mode") == "wal"
    assert writing(store).pragma("synchronous") == 2


async def test_foreign_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database, or cannot be there, is StoreUnavailable."""
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"not a database " * 1000)
    for path in (junk, junk / "below" / "it.db"):
        with pytest.raises(StoreUnavailable, match="cannot open"):
            opened(path)


async def test_old_sqlite_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SQLite that can lose commits when a WAL is reset is not used."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(SchemaError, match=r"3\.51\.2"):
        opened(path)


# the schema


async def test_altered_schema_is_refused(path: Path) -> None:
    """A migration whose text changed after it was applied stops the start."""
    await opened(path).close()
    sql(path, "UPDATE schema_migrations SET checksum = 'another'")
    with pytest.raises(SchemaError, match="altered"):
        opened(path)


async def test_newer_schema_is_refused(path: Path) -> None:
    """A database of a later version is not touched."""
    await opened(path).close()
    sql(path, "INSERT INTO schema_migrations VALUES (9999, 'later')")
    with pytest.raises(SchemaError, match="9999"):
        opened(path)
    assert sql(path, "SELECT max(number) FROM schema_migrations") == [(9999,)]


async def test_failed_migration_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that fails is undone whole, and can be tried again."""
    broken = database.Migration(9998, "9998_broken.sql", "CREATE TABLE a (b); NONSENSE")
    known = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: [*known, broken])
    with pytest.raises(StoreUnavailable):
        opened(path)
    assert sql(path, "SELECT name FROM sqlite_schema") == []
    monkeypatch.undo()
    await opened(path).close()


def test_migration_looks_again_under_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a schema pending while another applies it does not do it again."""
    path.parent.mkdir()
    really_pending = database.pending
    met: list[list[database.Migration]] = []

    def overtaken(connection: apsw.Connection) -> list[database.Migration]:
        found = really_pending(connection)
        if not met:
            met.append(found)
            assert database.migrate(database.connect(path)) != []
        return found

    monkeypatch.setattr(database, "pending", overtaken)
    assert database.migrate(database.connect(path)) == []
    assert met[0] != []


OPEN = """
import asyncio, sys
from watchword.stores import open_store
from watchword.testing import SeededEntropy

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    store = await open_store(sys.argv[1], SeededEntropy())
    await store.check()
    await store.close()

asyncio.run(main())
"""


def test_processes_that_start_at_once_migrate_once(path: Path) -> None:
    """N processes on an empty folder make one schema and one incarnation."""
    command = [sys.executable, "-c", OPEN, f"sqlite:///{path}"]
    pipe = subprocess.PIPE
    starting = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(6)
    ]
    for child in starting:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in starting:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in starting:
        child.communicate(timeout=30)
    assert [child.returncode for child in starting] == [0] * 6
    count = len(database.migrations())
    applied = sql(path, "SELECT count(*) FROM schema_migrations")
    assert applied == [(count,)]
    assert sql(path, "SELECT count(*) FROM store") == [(1,)]


# faults


async def fill(store: SqliteStore, *, first: int = 1000) -> int:
    """Write until the store refuses; how many were written."""
    written = 0
    while True:
        try:
            await put(store, a_session(first + written, user_agent="x" * 3000))
        except StoreUnavailable:
            return written
        written += 1


async def test_full_disk_is_told_and_passes(store: SqliteStore) -> None:
    """A full disk refuses writes, not reads, and is over when there is room."""
    row = a_session()
    await put(store, row)
    pages = writing(store).pragma("page_count")
    writing(store).pragma("max_page_count", pages + 20)
    written = await fill(store)
    assert written >= 5
    assert await store.load([row.id]) == [row]
    assert len(await store.list_sessions(None, limit=100)) == written + 1
    with pytest.raises(StoreUnavailable):
        await put(store, a_session(2, user_agent="x" * 3000))
    writing(store).pragma("max_page_count", 2**31)
    await put(store, a_session(2))
    assert await store.swap([Change(row, rotated(row))]) == [True]
    assert await store.last_event() == written + 2


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from watchword.errors import StoreUnavailable
from watchword.stores import open_store
from watchword.testing import SeededEntropy
from watchword.testing.store_contract.examples import a_session
from watchword.testing.store_contract.sessions import put

async def main():
    store = await open_store(sys.argv[1], SeededEntropy())
    await put(store, a_session(0))
    wal = Path(sys.argv[2] + "-wal").stat().st_size
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 60_000, unlimited))
    written = 0
    try:
        while written < 1000:
            await put(store, a_session(1 + written))
            written += 1
    except StoreUnavailable:
        pass
    batch = [put(store, a_session(2000 + n)) for n in range(50)]
    answers = await asyncio.gather(*batch, return_exceptions=True)
    assert all(isinstance(a, StoreUnavailable) for a in answers), answers
    assert len(await store.list_sessions(None, limit=2000)) == written + 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    await put(store, a_session(5000))
    await store.close()
    store = await open_store(sys.argv[1], SeededEntropy())
    assert len(await store.list_sessions(None, limit=2000)) == written + 2
    await store.close()
    print(0 < written < 1000)

asyncio.run(main())
"""


async def test_wal_that_cannot_grow_is_told_and_passes(path: Path) -> None:
    """Where the operating system refuses to write, the process lives and recovers."""
    command = [sys.executable, "-c", FULL_DISK, f"sqlite:///{path}", str(path)]
    done = await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, timeout=60
    )
    assert done.stdout == b"True\n"


async def test_locked_database_is_told_and_passes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked beyond the busy timeout: refused, nothing spent; then it works."""
    monkeypatch.setattr(database, "BUSY_MS", 50)
    store = opened(path)
    rows = [a_session(number) for number in range(20)]
    await put(store, *rows)
    begun: list[str] = []
    writing(store).exec_trace = noting(begun)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(
        *(store.swap([Change(row, rotated(row))]) for row in rows),
        store.end(OneSession(rows[0].id), "logout", an_event(), 1),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {StoreUnavailable}
    # One wait for all that came together, not one wait for each.
    assert len(begun) <= 3
    assert await store.load([row.id for row in rows]) == rows
    assert await store.last_event() == len(rows)
    other.execute("ROLLBACK")
    other.close()
    for row in rows:
        assert await store.swap([Change(row, rotated(row))]) == [True]
    await store.close()


async def test_locked_at_the_start_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new database that another process holds is StoreUnavailable, then opens."""
    monkeypatch.setattr(database, "BUSY_MS", 50)
    path.parent.mkdir()
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", "wal")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="cannot open"):
        opened(path)
    other.execute("ROLLBACK")
    other.close()
    await opened(path).close()


async def test_closed_store_says_so(path: Path) -> None:
    """After close every verb raises StoreUnavailable, and closing again is nothing."""
    store = opened(path)
    await store.close()
    await store.close()
    calls: list[Callable[[], Any]] = [
        store.check,
        store.load_keys,
        store.last_event,
        lambda: store.load([identifier(1)]),
        lambda: store.list_sessions(None, limit=1),
        lambda: store.ended(None, 0),
        lambda: store.account_by_name("ada"),
        lambda: store.record(an_event()),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call()


async def test_cancelled_list_leaves_the_store_usable(path: Path) -> None:
    """Whoever goes away during a long list disturbs neither the next nor the close."""
    store = opened(path)
    statement = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT"
    slow = f"{statement} 1000000) SELECT count(*) FROM n"
    store._sql = {**store._sql, "check": slow}
    listing = asyncio.create_task(store.check())
    await asyncio.sleep(0)  # handed to the thread
    listing.cancel()
    assert await store.list_sessions(None, limit=1) == []
    listing = asyncio.create_task(store.check())
    await asyncio.sleep(0)
    listing.cancel()
    await store.close()


# size


def _sizes(path: Path) -> dict[str, int]:
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    found = sql(path, "SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
    return dict(found)


async def test_session_costs_at_most_400_bytes(path: Path) -> None:
    """One row and its index entry: at most 400 bytes, whatever it went through."""
    store = opened(path)
    count, rounds = 2000, 5
    writing(store).pragma("synchronous", "off")
    draw, clock = SeededEntropy("sizes"), ManualClock()
    rows = [
        a_session(
            number,
            now=clock.advance(431),
            # Accounts are older than their sessions and sign in in no order.
            account=int.from_bytes(draw(2)) % 1500,
            address=ADDRESS,
            user_agent=USER_AGENT,
        )
        for number in range(count)
    ]
    rows = [
        msgspec.structs.replace(
            row,
            id=row.id[:6] + draw(10),
            secret_hash=draw(32),
            retry_hash=draw(32),
        )
        for row in rows
    ]
    await put(store, *rows)
    for _ in range(rounds):
        clock.advance(120_000)
        after = [
            msgspec.structs.replace(
                rotated(row, by=draw(8).hex(), now=clock()), address=ADDRESS
            )
            for row in rows
        ]
        changes = [Change(*pair) for pair in zip(rows, after, strict=True)]
        for begin in range(0, count, 100):
            done = await store.swap(changes[begin : begin + 100])
            assert all(done)
        rows = after
    await store.close()
    sizes = _sizes(path)
    per_session = (sizes["sessions"] + sizes["sessions_of_account"]) / count
    assert len(USER_AGENT) == 110
    # 360 when this was written: 316 for the row and 43 for its index entry.
    assert 200 <= per_session <= 400


async def test_rotations_cost_no_room(path: Path) -> None:
    """10,000 rotations of one session: one row, and files that stay small."""
    store = opened(path)
    writing(store).pragma("synchronous", "off")  # counted, not timed
    row = a_session()
    await put(store, row)
    for _ in range(10_000):
        after = rotated(row)
        assert await store.swap([Change(row, after)]) == [True]
        row = after
    wal = size_of(path.with_name(path.name + "-wal"))
    assert sql(path, "SELECT count(*) FROM sessions") == [(1,)]
    assert sql(path, "SELECT count(*) FROM ended") == [(0,)]
    await store.close()
    assert wal <= 4200 * 4096  # a checkpoint at 4,000 pages, and what came with it
    assert size_of(path) <= 40 * 4096


# a writer in the database


async def test_planted_signing_key_is_refused(store: SqliteStore, path: Path) -> None:
    """A key that somebody wrote into the file is neither used nor published."""
    clock, entropy = ManualClock(), SeededEntropy("keys")
    ring = KeyRing(store, [SECRET], "ES256", clock, entropy)
    await ring.start()
    signing, published = ring.active.kid, ring.jwks
    mine = generate("ES256")
    planted = Vault([OTHER_SECRET], entropy).seal(mine, "active", clock())
    sql(
        path,
        "INSERT INTO signing_keys (kid, alg, state, sealed, changed_at)"
        " VALUES (?, ?, ?, ?, ?)",
        msgspec.structs.astuple(planted),
    )
    sql(path, "UPDATE store SET key_revision = key_revision + 1")
    with pytest.raises(KeyRingError, match="cannot be unsealed"):
        await ring.refresh()
    assert (ring.active.kid, ring.jwks) == (signing, published)
    assert ring.public_key(mine.kid) is None
    with pytest.raises(KeyRingError, match=mine.kid):
        await KeyRing(store, [SECRET], "ES256", clock, entropy).start()


@pytest.mark.parametrize(
    "change",
    [
        "kid = 'mine' WHERE state = 'active'",
        "alg = 'EdDSA' WHERE state = 'active'",
        "sealed = (SELECT max(sealed) FROM signing_keys)",
    ],
)
async def test_altered_signing_key_is_refused(
    store: SqliteStore, path: Path, change: str
) -> None:
    """A sealed key is bound to its id and algorithm, and cannot stand for another."""
    clock, entropy = ManualClock(), SeededEntropy("keys")
    await KeyRing(store, [SECRET], "ES256", clock, entropy).start()
    sql(path, f"UPDATE signing_keys SET {change}")
    with pytest.raises(KeyRingError, match="cannot be unsealed"):
        await KeyRing(store, [SECRET], "ES256", clock, entropy).start()


async def test_ids_have_16_bytes(store: SqliteStore) -> None:
    """An id of another length is refused by the schema itself."""
    for write in (
        store.create(a_session(1, id=b"short"), an_event()),
        store.add_account(an_account(id=b"short"), an_event()),
    ):
        with pytest.raises(StoreUnavailable):
            await write
    assert await store.last_event() == 0
