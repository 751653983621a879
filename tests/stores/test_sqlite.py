"""What the SQLite store promises beyond the contract: its file, size, tampering."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from tests.stores.on_file import opened, sql, writing
from watchword.errors import (
    KeyRingError,
    SchemaError,
    SettingsError,
    StoreUnavailable,
)
from watchword.keys.ring import KeyRing
from watchword.keys.signing import generate
from watchword.keys.vault import Vault
from watchword.ports import Stores
from watchword.ports.audit import Trail
from watchword.ports.keys import KeyState
from watchword.ports.sessions import Change
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy
from watchword.testing.store_contract.examples import (
    a_session,
    an_account,
    an_event,
    put,
    rotated,
)

ADDRESS = "203.0.113.107"
USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/138.0.0.0 Safari/537.3"
)
SECRET, OTHER_SECRET = b"s" * 32, b"o" * 32


def size_of(path: Path) -> int:
    return path.stat().st_size


def modes_in(folder: Path) -> list[int]:
    return [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()]


# the file


@pytest.mark.parametrize("name", ["relative.db", "with blank.db", "ünï.db"])
async def test_url_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Three slashes are relative to the working folder, four are absolute."""
    monkeypatch.chdir(tmp_path)
    for number, base in enumerate(("", f"{tmp_path}/")):
        file = f"{number}{name}"
        stores = await open_stores(f"sqlite:///{base}{file}", SeededEntropy())
        await stores.backend.close()
        assert (tmp_path / file).exists()


async def test_unknown_store_is_a_settings_fault() -> None:
    """A scheme that no store has is told together with those that there are."""
    with pytest.raises(SettingsError, match=r"'oracle' is none of memory, .*sqlite"):
        await open_stores("oracle://db", SeededEntropy())


async def test_only_the_owner_reads_any_of_the_files(tmp_path: Path) -> None:
    """Database, WAL and index have mode 0600, in an open folder too."""
    before = os.umask(0o022)
    try:
        stores = await opened(tmp_path / "watchword.db")
        await put(stores, a_session())
        modes = modes_in(tmp_path)
        await stores.backend.close()
    finally:
        os.umask(before)
    assert modes == [0o600] * 3


async def test_answers_leave_after_the_disk_has_them(stores: Stores) -> None:
    """The writer commits to a WAL, with an fsync for each transaction."""
    assert writing(stores).pragma("journal_mode") == "wal"
    assert writing(stores).pragma("synchronous") == 2


async def test_a_statement_is_prepared_once(stores: Any) -> None:
    """Also one whose plan SQLite would choose anew by the values that are bound."""
    prepared: list[object] = []
    connection = stores.sessions._file.loop_reader

    def authorise(*what: object) -> int:
        prepared.append(what)
        return apsw.SQLITE_OK

    connection.authorizer = authorise
    for turn in range(3):
        await stores.credentials.of_account(bytes([turn]) * 16)
        assert prepared if turn == 0 else not prepared
        prepared.clear()


async def test_foreign_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database, or cannot be there, is StoreUnavailable."""
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"not a database " * 1000)
    for path in (junk, junk / "below" / "it.db"):
        with pytest.raises(StoreUnavailable, match="cannot open"):
            await opened(path)


async def test_old_sqlite_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SQLite that can lose commits when a WAL is reset is not used."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(SchemaError, match=r"3\.51\.2"):
        await opened(path)


# size


def _sizes(path: Path) -> dict[str, int]:
    sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    found = sql(path, "SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
    return dict(found)


async def test_session_costs_at_most_400_bytes(path: Path) -> None:
    """One row and its index entry: at most 400 bytes, whatever it went through."""
    stores = await opened(path)
    count, rounds = 2000, 5
    writing(stores).pragma("synchronous", "off")
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
    await put(stores, *rows)
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
            done = await stores.sessions.swap(changes[begin : begin + 100])
            assert all(done)
        rows = after
    await stores.backend.close()
    sizes = _sizes(path)
    per_session = (sizes["sessions"] + sizes["sessions_of_account"]) / count
    assert len(USER_AGENT) == 110
    # 385 when this was written: 342 for the row and 43 for its index entry.
    assert 200 <= per_session <= 400


async def test_rotations_cost_no_room(path: Path) -> None:
    """10,000 rotations of one session: one row, and files that stay small."""
    stores = await opened(path)
    ((pages,),) = sql(path, "PRAGMA page_count")  # of the schema alone
    writing(stores).pragma("synchronous", "off")  # counted, not timed
    row = a_session()
    await put(stores, row)
    for _ in range(10_000):
        after = rotated(row)
        assert await stores.sessions.swap([Change(row, after)]) == [True]
        row = after
    wal = size_of(path.with_name(path.name + "-wal"))
    assert sql(path, "SELECT count(*) FROM sessions") == [(1,)]
    assert sql(path, "SELECT count(*) FROM ended") == [(0,)]
    await stores.backend.close()
    assert wal <= 4200 * 4096  # a checkpoint at 4,000 pages, and what came with it
    assert size_of(path) == pages * 4096


# a writer in the database


def _ring(stores: Stores, clock: ManualClock, entropy: SeededEntropy) -> KeyRing:
    return KeyRing(
        keys=stores.keys, secrets=[SECRET], alg="ES256", clock=clock, entropy=entropy
    )


async def test_planted_signing_key_is_refused(stores: Stores, path: Path) -> None:
    """A key that somebody wrote into the file is neither used nor published."""
    clock, entropy = ManualClock(), SeededEntropy("keys")
    ring = _ring(stores, clock, entropy)
    await ring.start()
    signing, published = ring.active.kid, ring.jwks
    mine = generate("ES256")
    planted = Vault([OTHER_SECRET], entropy).seal(mine, KeyState.ACTIVE, clock())
    sql(
        path,
        "INSERT INTO signing_keys (kid, alg, state, sealed, changed_at)"
        " VALUES (?, ?, ?, ?, ?)",
        msgspec.structs.astuple(planted)[:5],
    )
    sql(path, "UPDATE store SET key_revision = key_revision + 1")
    with pytest.raises(KeyRingError, match="cannot be unsealed"):
        await ring.refresh()
    assert (ring.active.kid, ring.jwks) == (signing, published)
    assert ring.public_key(mine.kid) is None
    with pytest.raises(KeyRingError, match=mine.kid):
        await _ring(stores, clock, entropy).start()


@pytest.mark.parametrize(
    "change",
    [
        "kid = 'mine' WHERE state = 'active'",
        "alg = 'EdDSA' WHERE state = 'active'",
        "sealed = (SELECT max(sealed) FROM signing_keys)",
    ],
)
async def test_altered_signing_key_is_refused(
    stores: Stores, path: Path, change: str
) -> None:
    """A sealed key is bound to its id and algorithm, and cannot stand for another."""
    clock, entropy = ManualClock(), SeededEntropy("keys")
    await _ring(stores, clock, entropy).start()
    sql(path, f"UPDATE signing_keys SET {change}")
    with pytest.raises(KeyRingError, match="cannot be unsealed"):
        await _ring(stores, clock, entropy).start()


async def test_ids_have_16_bytes(stores: Stores) -> None:
    """An id of another length is refused by the schema itself."""
    for write in (
        stores.sessions.create(a_session(1, id=b"short"), an_event()),
        stores.accounts.add(an_account(id=b"short"), Trail()),
    ):
        with pytest.raises(StoreUnavailable):
            await write
    assert await stores.audit.last() == 0
