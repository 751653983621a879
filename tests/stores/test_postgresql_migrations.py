"""The schema of the PostgreSQL store: `watchword migrate` makes it, once and whole."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.pages import ROOT
from tests.servers.postgresql import postgresql
from tests.stores.older import goes_on_beside, of_role
from tests.stores.on_postgresql import opened, somebody
from watchword.core.limits import CLIENT_GRACE
from watchword.core.session import Session
from watchword.errors import SchemaError, StoreUnavailable
from watchword.ports.audit import Trail
from watchword.ports.sessions import Change
from watchword.stores import migrate_store
from watchword.stores.postgresql import connections
from watchword.stores.sql import files as sql_files
from watchword.stores.sql.files import Migration
from watchword.stores.sql.rows import as_row
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_proof,
    a_session,
    an_account,
    living,
    rotated,
    sign_in,
    with_address,
)

_APPLIED = "SELECT count(*) FROM watchword.schema_migrations"
_BROKEN = Migration(9998, "9998_broken.sql", "CREATE TABLE watchword.a (); NONSENSE")
_FURTHER = Migration(
    9998, "9998_further.sql", "ALTER TABLE watchword.sessions ADD further text"
)


@pytest.fixture
def url() -> str:
    """The URL of a database without a schema of ours."""
    return postgresql().new_database(migrated=False)


def bring(monkeypatch: pytest.MonkeyPatch, migration: Migration) -> None:
    """A later version of this program, which brings one more."""
    known = sql_files.migrations("postgresql")
    monkeypatch.setattr(sql_files, "migrations", lambda _: [*known, migration])


async def test_migrate_lists_then_applies(url: str) -> None:
    """What is pending is listed and nothing made of it; then it is applied, once."""
    with pytest.raises(SchemaError, match="run `watchword migrate`"):
        async with opened(url):
            pass
    known = sql_files.migrations("postgresql")
    for apply in (False, True):
        assert await migrate_store(url, apply=apply) == known
    for apply in (True, False):
        assert await migrate_store(url, apply=apply) == []
    async with opened(url) as stores:
        await stores.backend.check()


async def test_older_schema_is_refused_and_goes_on_where_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version does not serve on the schema of an old one, which serves on."""
    await migrate_store(url, apply=True)
    session = a_session()
    async with opened(url) as older:
        bring(monkeypatch, _FURTHER)
        with pytest.raises(SchemaError, match=r"9998_further.*run `watchword migrate`"):
            async with opened(url):
                pass
        assert await migrate_store(url, apply=True) == [_FURTHER]
        await older.sessions.create(session, sign_in(session))
    async with opened(url) as stores:
        assert await stores.sessions.load([session.id]) == [session]


async def test_clients_of_an_old_database_get_the_grace_that_new_ones_have(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one that a server of the old version makes beside the new ones."""
    with monkeypatch.context() as older:
        known = sql_files.migrations("postgresql")
        older.setattr(sql_files, "migrations", lambda _: known[:1])
        await migrate_store(url, apply=True)
    add = (
        "INSERT INTO watchword.clients (id, created_at, scope, audience, grants, "
        "rights, dpop, disabled, version) "
        "VALUES ($1, 0, '', '', 'refresh_token', '', false, false, 0)"
    )
    async with somebody(url) as other:
        await other.execute(add, "before")
        assert await migrate_store(url, apply=True) == known[1:]
        await other.execute(add, "beside")
    async with opened(url) as stores:
        for client in await stores.clients.list(limit=10):
            assert (client.grace, client.checks_dpop) == (CLIENT_GRACE, False)


async def test_accounts_of_an_old_database_go_on(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no address, as those that a server of the old version still makes."""
    with monkeypatch.context() as older:
        known = sql_files.migrations("postgresql")
        older.setattr(sql_files, "migrations", lambda _: known[:3])
        await migrate_store(url, apply=True)
    add = (
        "INSERT INTO watchword.accounts (id, name, password_hash, roles, created_at, "
        "epoch, version, disabled) VALUES ($1, $2, $3, 'reader', $4, 0, 0, false)"
    )
    before, beside = an_account("before", 1), an_account("beside", 2)
    async with somebody(url) as other:
        await other.execute(add, before.id, before.name, before.password_hash, START)
        assert await migrate_store(url, apply=True) == known[3:]
        await other.execute(add, beside.id, beside.name, beside.password_hash, START)
    async with opened(url) as stores:
        assert await stores.accounts.list(limit=9) == [before, beside]
        assert await of_role(stores, "reader") == [["before", "beside"]]
        addressed = with_address(before)
        assert await stores.accounts.swap(before, addressed, Trail())
        assert await stores.accounts.by_email("ada@example.org") == addressed


async def test_sessions_of_an_old_database_go_on(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were proved at sign-in, as those that a server of the old version makes."""
    with monkeypatch.context() as older:
        known = sql_files.migrations("postgresql")
        older.setattr(sql_files, "migrations", lambda _: known[:3])
        await migrate_store(url, apply=True)
    fields = Session.__struct_fields__[:-2]
    places = ", ".join(f"${number + 1}" for number in range(len(fields)))
    add = f"INSERT INTO watchword.sessions ({', '.join(fields)}) VALUES ({places})"
    before, beside = a_session(1), a_session(2)
    async with somebody(url) as other:
        await other.execute(add, *as_row(before)[:-2])
        assert await migrate_store(url, apply=True) == known[3:]
        await other.execute(add, *as_row(beside)[:-2])
    async with opened(url) as stores:
        assert await living(stores) == [beside, before]
        after = rotated(before).proved(a_proof(of=before, at=START + 1000))
        assert await stores.sessions.swap([Change(before, after)]) == [True]
        assert await stores.sessions.load([before.id]) == [after]


async def test_a_server_of_the_version_before_goes_on_beside(url: str) -> None:
    """`watchword migrate` comes first, and servers are replaced one by one."""
    await migrate_store(url, apply=True)
    async with opened(url) as stores, somebody(url) as other:

        async def run(statement: str) -> list[Any]:
            text = statement.format(at="watchword.", bytes="bytea")
            return list(await other.fetch(text))

        await goes_on_beside(stores, run)


async def test_indexes_that_an_operator_has_built_before_are_taken(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what docs/postgresql.md says they are as a migration would build them."""
    built = re.findall(
        r"CREATE INDEX CONCURRENTLY audit_by[^;]+;",
        (ROOT / "docs/postgresql.md").read_text(),
    )
    with monkeypatch.context() as older:
        known = sql_files.migrations("postgresql")
        older.setattr(sql_files, "migrations", lambda _: known[:6])
        await migrate_store(url, apply=True)
    indexes = "SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'audit_by%'"
    async with somebody(url) as other:
        for statement in built:
            await other.execute(statement)
        before = {row[0] for row in await other.fetch(indexes)}
        assert await migrate_store(url, apply=True) == known[6:]
        assert {row[0] for row in await other.fetch(indexes)} == before
    async with somebody(postgresql().new_database()) as other:
        assert {row[0] for row in await other.fetch(indexes)} == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE watchword.schema_migrations SET checksum = 'another'", "altered"),
        ("INSERT INTO watchword.schema_migrations VALUES (9999, 'later')", "9999"),
    ],
    ids=["altered", "newer"],
)
async def test_schema_that_is_not_ours_is_refused(
    url: str, change: str, told: str
) -> None:
    """Neither a server nor `migrate` touches a schema that is newer or was altered."""
    await migrate_store(url, apply=True)
    async with somebody(url) as other:
        await other.execute(change)
    with pytest.raises(SchemaError, match=told):
        async with opened(url):
            pass
    for apply in (False, True):
        with pytest.raises(SchemaError, match=told):
            await migrate_store(url, apply=apply)


async def test_failed_migration_leaves_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that fails is undone whole, and can be tried again."""
    with monkeypatch.context() as broken:
        bring(broken, _BROKEN)
        with pytest.raises(StoreUnavailable):
            await migrate_store(url, apply=True)
    async with somebody(url) as other:
        schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'watchword'"
        assert await other.fetchval(schemas) == 0
    await migrate_store(url, apply=True)


async def test_migration_takes_the_time_that_it_needs(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no request may take, a migration of a large table may."""
    monkeypatch.setattr(connections, "QUERY_TIMEOUT", 2.0)
    slow = Migration(9998, "9998_slow.sql", "SELECT pg_sleep(2.1)")
    bring(monkeypatch, slow)
    assert slow in await migrate_store(url, apply=True)


@pytest.mark.parametrize("level", ["read committed", "serializable"])
async def test_those_who_migrate_at_once_apply_once(level: str) -> None:
    """Many that start together make one schema and one incarnation."""
    url = postgresql().new_database(migrated=False, default_transaction_isolation=level)
    made = await asyncio.gather(*(migrate_store(url, apply=True) for _ in range(8)))
    known = sql_files.migrations("postgresql")
    assert sorted(map(len, made)) == [0] * 7 + [len(known)]
    async with somebody(url) as other:
        assert await other.fetchval(_APPLIED) == len(known)
        assert await other.fetchval("SELECT count(*) FROM watchword.store") == 1
