"""The schema of the SQLite store: it moves forward, once, whole, with what is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from tests.patience import PATIENCE
from tests.stores.older import goes_on_beside, of_role
from tests.stores.on_file import opened, sql
from watchword.core.actor import EndReason
from watchword.core.limits import CLIENT_GRACE
from watchword.core.session import Session
from watchword.errors import SchemaError, StoreUnavailable
from watchword.ports.audit import Trail
from watchword.ports.sessions import ById, Change
from watchword.stores.sql import files as sql_files
from watchword.stores.sql.files import Migration
from watchword.stores.sql.rows import as_row
from watchword.stores.sqlite import migrations
from watchword.stores.sqlite.connection import connect
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_proof,
    a_session,
    an_account,
    an_event,
    living,
    rotated,
    with_address,
)


async def test_altered_schema_is_refused(path: Path) -> None:
    """A migration whose text changed after it was applied stops the start."""
    await (await opened(path)).backend.close()
    sql(path, "UPDATE schema_migrations SET checksum = 'another'")
    with pytest.raises(SchemaError, match="altered"):
        await opened(path)


async def test_newer_schema_is_refused(path: Path) -> None:
    """A database of a later version is not touched."""
    await (await opened(path)).backend.close()
    sql(path, "INSERT INTO schema_migrations VALUES (9999, 'later')")
    with pytest.raises(SchemaError, match="9999"):
        await opened(path)
    assert sql(path, "SELECT max(number) FROM schema_migrations") == [(9999,)]


async def test_failed_migration_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that fails is undone whole, and can be tried again."""
    broken = Migration(9998, "9998_broken.sql", "CREATE TABLE a (b); NONSENSE")
    known = sql_files.migrations("sqlite")
    monkeypatch.setattr(sql_files, "migrations", lambda store: [*known, broken])
    with pytest.raises(StoreUnavailable):
        await opened(path)
    assert sql(path, "SELECT name FROM sqlite_schema") == []
    monkeypatch.undo()
    await (await opened(path)).backend.close()


def test_migration_looks_again_under_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds a schema pending while another applies it does not do it again."""
    path.parent.mkdir()
    really_pending = migrations.pending
    met: list[list[Migration]] = []

    def overtaken(connection: apsw.Connection) -> list[Migration]:
        found = really_pending(connection)
        if not met:
            met.append(found)
            assert migrations.migrate(connect(path)) != []
        return found

    monkeypatch.setattr(migrations, "pending", overtaken)
    assert migrations.migrate(connect(path)) == []
    assert met[0] != []


# What the first version wrote for a sign-in.
FIRST_INSERT = """
INSERT INTO sessions (
    id, account_id, client_id, secret_hash, retry_hash, generation, version,
    authenticated_at, rotated_at, idle_expires_at, expires_at, access_ttl, grace,
    hold_off, roles, address, user_agent, revoked_at, revoked_reason
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


async def test_sessions_of_the_first_schema_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session from before OAuth has a password alone. It rotates, rises, ends."""

    def signs_in(session: Session) -> None:
        values = msgspec.structs.astuple(session)[:19]
        sql(path, FIRST_INSERT, (*values[:14], "reader", *values[15:]))

    path.parent.mkdir()
    first, *_ = sql_files.migrations("sqlite")
    monkeypatch.setattr(sql_files, "migrations", lambda store: [first])
    migrations.migrate(connect(path))
    monkeypatch.undo()
    before, beside = a_session(1), a_session(2)
    signs_in(before)
    stores = await opened(path)
    signs_in(beside)  # by a server of the first version that still runs
    assert await stores.sessions.load([before.id, beside.id]) == [before, beside]
    assert (before.amr, before.acr, before.cookie) == (("pwd",), "aal1", False)
    after = rotated(before).proved(a_proof(of=before, at=START + 1000))
    assert await stores.sessions.swap([Change(before, after)]) == [True]
    assert await living(stores) == [beside, after]
    ended = await stores.sessions.end(ById(before.id), EndReason.LOGOUT, an_event(), 1)
    assert [entry.session_id for entry in ended] == [before.id]
    await stores.backend.close()


# What version 0.1.0 wrote for `clients add`, the columns of its schema in their order.
OLD_CLIENT = """
INSERT INTO clients (
    id, secret_hash, created_at, scope, audience, access_ttl, grants, rights, dpop,
    disabled, version
) VALUES (?, NULL, 0, 'read', '', NULL, 'refresh_token', '', 0, 0, 0)
"""


async def test_clients_and_sessions_of_an_old_folder_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients get the grace that `clients add` gives; a session keeps what it has."""
    path.parent.mkdir()
    known = sql_files.migrations("sqlite")
    monkeypatch.setattr(sql_files, "migrations", lambda store: known[:3])
    migrations.migrate(connect(path))
    sql(path, OLD_CLIENT, ("before",))
    session = a_session(client_id="before", grace=0)
    fields = Session.__struct_fields__[:-2]  # those that version had
    places = ", ".join("?" * len(fields))
    add = f"INSERT INTO sessions ({', '.join(fields)}) VALUES ({places})"
    sql(path, add, as_row(session)[:-2])
    monkeypatch.undo()
    stores = await opened(path)
    sql(path, OLD_CLIENT, ("beside",))  # by a server of that version that still runs
    for name in ("before", "beside"):
        client = await stores.clients.load(name)
        assert client is not None
        assert (client.grace, client.checks_dpop) == (CLIENT_GRACE, False)
        assert (client.scope, client.dpop, client.disabled) == (("read",), False, False)
        strict = msgspec.structs.replace(client, grace=0, checks_dpop=True, version=1)
        assert await stores.clients.swap(client, strict, an_event())
        assert await stores.clients.load(name) == strict
    assert await stores.sessions.load([session.id]) == [session]
    await stores.backend.close()


# What versions before accounts had an address wrote for `user add`.
OLD_ACCOUNT = """
INSERT INTO accounts (
    id, name, password_hash, roles, created_at, epoch, version, disabled
) VALUES (?, ?, ?, 'reader', ?, 0, 0, 0)
"""


async def test_accounts_of_an_old_folder_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no address and the language of before, and may be given others."""
    path.parent.mkdir()
    known = sql_files.migrations("sqlite")
    monkeypatch.setattr(sql_files, "migrations", lambda store: known[:3])
    migrations.migrate(connect(path))
    monkeypatch.undo()
    before, beside = an_account("before", 1), an_account("beside", 2)
    old = [(one.id, one.name, one.password_hash, START) for one in (before, beside)]
    sql(path, OLD_ACCOUNT, old[0])
    stores = await opened(path)
    sql(path, OLD_ACCOUNT, old[1])  # by a server of that version that still runs
    assert await stores.accounts.list(limit=9) == [before, beside]
    assert await of_role(stores, "reader") == [["before", "beside"]]
    addressed = with_address(before)
    assert await stores.accounts.swap(before, addressed, Trail())
    assert await stores.accounts.by_email("ada@example.org") == addressed
    await stores.backend.close()


async def test_a_server_of_the_version_before_goes_on_beside(path: Path) -> None:
    """Until it is stopped. It is not started again: the schema is too new for it."""
    stores = await opened(path)

    async def run(statement: str) -> list[Any]:
        return sql(path, statement.format(at="", bytes="BLOB"))

    await goes_on_beside(stores, run)
    await stores.backend.close()


OPEN = """
import asyncio, sys
from watchword.stores import open_stores
from watchword.testing import SeededEntropy

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    stores = await open_stores(sys.argv[1], SeededEntropy())
    await stores.backend.check()
    await stores.backend.close()

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
        child.communicate(timeout=PATIENCE)
    assert [child.returncode for child in starting] == [0] * 6
    count = len(sql_files.migrations("sqlite"))
    applied = sql(path, "SELECT count(*) FROM schema_migrations")
    assert applied == [(count,)]
    assert sql(path, "SELECT count(*) FROM store") == [(1,)]
