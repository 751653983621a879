"""Accounts, events and what else operators list, in bulk: as years would have left it.

Owns the rows that a store has beside its sessions. They are made in the database, by
arithmetic on their numbers, so that ten million take a minute and every run has the
same. Indexes of the audit log are built after its rows, as a migration does it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, Protocol

import apsw
import asyncpg
import msgspec

from bench.backends import SECRET, Backend
from watchword.clocks import system_clock
from watchword.core.limits import DAY, SECRET_NAME_BYTES
from watchword.keys.vault import derive
from watchword.stores.sql.files import path_of
from watchword.stores.sqlite.connection import connect

SPAN: Final = 400 * DAY
INVITATIONS: Final = 10_000
DELIVERIES: Final = 20_000
FIRST: Final = 1_700_000_000_000
"""When the first account and the first invitation were made (ms)."""
NETWORKS: Final = 250_000
PROXY: Final = "203.0.113.7"
"""One event in twenty is from there."""
# Of these kinds the log has so many of 1,000 events; the last one is what is left.
KINDS: Final = {
    "authn_login_success": 550,
    "authn_token_revoked": 250,
    "authn_login_fail": 150,
    "user_updated": 20,
    "authn_new_network": 10,
    "authn_password_change": 5,
    "user_created": 15,
}
RARE: Final = "signing_key_updated"
EACH_RARE: Final = 100_000
"""One of so many events is of that kind."""


class Amount(msgspec.Struct, frozen=True):
    """How many accounts and events there are."""

    accounts: int
    events: int


def identifier(number: int, kind: str = "0") -> bytes:
    """16 bytes for a number, in its order, as `Dialect.identifier` makes them."""
    return f"{kind}{number:015}".encode()


def _drawn(salt: int, out_of: int) -> str:
    """An expression: a number below `out_of` that looks drawn by lot, of row `n`."""
    return f"((n * 2654435761 + {salt} * 40503) / 1024 % {out_of})"


def _kind() -> str:
    bounds, total = "", 0
    for kind, share in KINDS.items():
        total += share
        bounds += f" WHEN {_drawn(1, 1000)} < {total} THEN '{kind}'"
    return f"CASE WHEN n % {EACH_RARE} = 0 THEN '{RARE}'{bounds} END"


class Dialect(Protocol):
    """What is written differently in two databases."""

    schema: str
    true: str
    false: str

    def series(self, count: int) -> str:
        """A common table `series` with the numbers `n` from 1."""

    def identifier(self, number: str, kind: str = "0") -> str:
        """16 bytes for a number, in its order."""

    def padded(self, number: str) -> str:
        """A number in seven digits."""

    def blob(self, content: bytes) -> str:
        """These bytes."""


class _Sqlite:
    schema = ""
    true, false = "1", "0"

    def series(self, count: int) -> str:
        return (
            "WITH RECURSIVE series (n) AS"
            f" (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count})"
        )

    def identifier(self, number: str, kind: str = "0") -> str:
        return f"CAST('{kind}' || printf('%015d', {number}) AS BLOB)"

    def padded(self, number: str) -> str:
        return f"printf('%07d', {number})"

    def blob(self, content: bytes) -> str:
        return f"x'{content.hex()}'"


class _Postgresql:
    schema = "watchword."
    true, false = "true", "false"

    def series(self, count: int) -> str:
        return (
            "WITH series AS"
            f" (SELECT n::bigint AS n FROM generate_series(1, {count}) AS n)"
        )

    def identifier(self, number: str, kind: str = "0") -> str:
        return f"convert_to('{kind}' || lpad(({number})::text, 15, '0'), 'UTF8')"

    def padded(self, number: str) -> str:
        return f"lpad(({number})::text, 7, '0')"

    def blob(self, content: bytes) -> str:
        return f"'\\x{content.hex()}'::bytea"


def _accounts(on: Dialect, count: int) -> str:
    """One in 33 is a clerk, three are admins, one in 200 is disabled."""
    admins = f"n IN (1, {count // 2}, {count})"
    return f"""
        INSERT INTO {on.schema}accounts (
            id, name, password_hash, roles, created_at, epoch, version, disabled,
            email, email_key, email_confirmed_at, locale
        )
        {on.series(count)}
        SELECT {on.identifier("n")}, 'user' || {on.padded("n")},
            '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$'
                || 'aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g',
            CASE WHEN {admins} THEN 'admin' WHEN n % 33 = 0 THEN 'reader clerk'
                ELSE 'reader' END,
            {FIRST} + n, 0, 0,
            CASE WHEN n % 200 = 7 THEN {on.true} ELSE {on.false} END,
            'Mail' || {on.padded("n")} || '@example.org',
            CASE WHEN n % 5 = 0 THEN NULL
                ELSE 'mail' || {on.padded("n")} || '@example.org' END,
            CASE WHEN n % 5 = 0 THEN NULL ELSE {FIRST} + n END, 'en'
        FROM series"""


def _factors(on: Dialect, accounts: int) -> str:
    """One account in ten has a factor, and ten recovery codes."""
    return f"""
        INSERT INTO {on.schema}credentials (
            id, account_id, kind, created_at, key, label, sealed, used_at, until,
            step, version
        )
        {on.series(accounts // 10 * 11)}
        SELECT {on.identifier("n", "c")}, {on.identifier("n / 11 * 10")},
            CASE WHEN n % 11 = 0 THEN 'totp' ELSE 'recovery_code' END,
            {FIRST} + n,
            CASE WHEN n % 11 = 0 THEN {on.blob(b"")} ELSE {on.identifier("n", "k")} END,
            '', {on.blob(b"")}, NULL, NULL, 0, 0
        FROM series"""


def _events(on: Dialect, amount: Amount, begin: int) -> str:
    """One event in a hundred is of one account; one in twenty is of one address."""
    known = (
        f"CASE WHEN {_drawn(2, 100)} = 0 THEN 1 ELSE {_drawn(3, amount.accounts)} END"
    )
    network = _drawn(5, NETWORKS)
    return f"""
        INSERT INTO {on.schema}audit (
            at, type, account_id, session_id, client_id, address, detail
        )
        {on.series(amount.events)}
        SELECT {begin} + n * {SPAN // amount.events}, {_kind()},
            CASE WHEN {_drawn(1, 1000)} BETWEEN 800 AND 949 THEN NULL
                ELSE {on.identifier(known)} END,
            CASE WHEN {_drawn(1, 1000)} >= 800 THEN NULL
                ELSE {on.identifier(_drawn(4, amount.events // 2), "s")} END,
            CASE WHEN {_drawn(1, 1000)} >= 800 THEN NULL ELSE 'first-party' END,
            CASE WHEN {_drawn(6, 20)} = 0 THEN '{PROXY}' ELSE
                '10.' || ({network} / 62500) || '.' || ({network} / 250 % 250) || '.'
                || ({network} % 250) END,
            CASE WHEN {_drawn(1, 1000)} < 550 THEN '{{"amr":"pwd"}}'
                ELSE '{{"reason":"logout","by":"user"}}' END
        FROM series"""


def _invitations(on: Dialect) -> str:
    return f"""
        INSERT INTO {on.schema}confirmations (
            token_hash, account_id, purpose, email, email_key, created_at, until, roles
        )
        {on.series(INVITATIONS)}
        SELECT {on.identifier("n", "i")}, NULL, 'invitation',
            'new' || n || '@example.org', 'new' || n || '@example.org',
            {FIRST} + n, 9700000000000, ''
        FROM series"""


def _deliveries(on: Dialect) -> str:
    return f"""
        INSERT INTO {on.schema}deliveries (
            id, webhook_id, topic, body, created_at, not_before, state, attempts,
            tried_at, status, answer
        )
        {on.series(DELIVERIES)}
        SELECT {on.identifier("n", "d")}, {on.identifier("1", "w")}, 'session.started',
            '{{"type":"session.started","timestamp":"2026-01-01T00:00:00Z","data":'
                || '{{"session":"0197a1b2-0000-7000-8000-000000000000"}}}}',
            {FIRST} + n, {FIRST} + n,
            CASE WHEN n % 20 = 0 THEN 'waiting' ELSE 'delivered' END, 1,
            {FIRST} + n, 200, 'ok'
        FROM series"""


def _webhook(on: Dialect) -> str:
    """Disabled. Its secret is not opened, but whose it is will be asked."""
    sealed_by = derive(SECRET.encode(), "fingerprint")[:SECRET_NAME_BYTES]
    return f"""
        INSERT INTO {on.schema}webhooks (
            id, url, topics, sealed, created_at, handed_over, allow_private, disabled,
            failing_since, version
        ) SELECT {on.identifier("1", "w")}, 'https://example.org/', '',
            {on.blob(sealed_by)}, 0, 0, {on.false}, {on.true}, NULL, 0"""


def _statements(on: Dialect, amount: Amount) -> list[str]:
    return [
        _accounts(on, amount.accounts),
        _factors(on, amount.accounts),
        _events(on, amount, system_clock() - SPAN),
        _invitations(on),
        _webhook(on),
        _deliveries(on),
    ]


def fill_records(backend: Backend, amount: Amount) -> dict[str, float]:
    """Put them there; seconds that each index of the audit log took to build."""
    if backend.name == "sqlite":
        return _fill_sqlite(backend, amount)
    return asyncio.run(_fill_postgresql(backend, amount))


def _fill_sqlite(backend: Backend, amount: Amount) -> dict[str, float]:
    connection = connect(path_of(backend.url))
    indexes = dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_schema"
            " WHERE type = 'index' AND tbl_name = 'audit' AND name LIKE 'audit_by_%'"
        )
    )
    for name in indexes:
        connection.execute(f"DROP INDEX {name}")
    for statement in _statements(_Sqlite(), amount):
        with connection:
            connection.execute(statement)
    spent = {}
    for name, sql in indexes.items():
        started = time.perf_counter()
        connection.execute(sql)
        spent[name] = time.perf_counter() - started
    connection.pragma("wal_checkpoint", "TRUNCATE")
    connection.close()
    return spent


async def _fill_postgresql(backend: Backend, amount: Amount) -> dict[str, float]:
    connection = await asyncpg.connect(backend.url)
    try:
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'watchword' AND indexname LIKE 'audit_by_%'"
        )
        for name, _ in indexes:
            await connection.execute(f"DROP INDEX watchword.{name}")
        for statement in _statements(_Postgresql(), amount):
            await connection.execute(statement)
        spent = {}
        for name, sql in indexes:
            started = time.perf_counter()
            await connection.execute(sql)
            spent[name] = time.perf_counter() - started
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return spent


def sizes(backend: Backend) -> dict[str, int]:
    """Bytes of each table and index that operators' lists read, by name."""
    if backend.name == "sqlite":
        file = apsw.Connection(
            str(path_of(backend.url)), flags=apsw.SQLITE_OPEN_READONLY
        )
        try:
            found: Any = file.execute(
                "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
            )
            return {name: int(size) for name, size in found}
        finally:
            file.close()
    return asyncio.run(_sizes_of_postgresql(backend))


async def _sizes_of_postgresql(backend: Backend) -> dict[str, int]:
    connection = await asyncpg.connect(backend.url)
    try:
        rows = await connection.fetch(
            "SELECT relname, pg_relation_size(pg_class.oid) FROM pg_class"
            " JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = 'watchword' AND relkind IN ('r', 'i')"
        )
    finally:
        await connection.close()
    return {row[0]: row[1] for row in rows}
