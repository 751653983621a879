"""The file: opening it, its pragmas, its schema and the statements read from SQL files.

The schema moves forward only, in numbered files whose checksums are kept in the
database: one that is newer than this program, or was altered, is not touched.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import apsw

from watchword.errors import SchemaError, StoreUnavailable

# 3.7.0 to 3.51.2 can lose committed writes when a WAL is reset; apsw brings its own.
SQLITE_MIN: Final = (3, 51, 3)
BUSY_MS: Final = 5000
_HERE = files("watchword.stores.sqlite")


def path_of(url: str) -> Path:
    """The file of `sqlite:///relative/or/absolute.db` (four slashes: absolute)."""
    return Path(unquote(urlsplit(url).path)[1:])


@cache
def load_statements() -> dict[str, str]:
    """The statements of `statements.sql`, by name."""
    text = (_HERE / "statements.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def connect(path: Path) -> apsw.Connection:
    """A connection whose commits are on the disk when they return."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        message = f"SQLite {version} can lose commits: update apsw"
        raise SchemaError(message)
    try:
        connection = apsw.Connection(str(path), statementcachesize=64)
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        # Every checkpoint waits for the disk twice: a longer WAL makes them rarer.
        connection.pragma("wal_autocheckpoint", 4000)
    except apsw.Error as error:
        message = f"cannot open {path}: {type(error).__name__}"
        raise StoreUnavailable(message) from error
    return connection


class Migration:
    """One numbered schema file."""

    def __init__(self, number: int, name: str, sql: str) -> None:
        self.number = number
        self.name = name
        self.sql = sql
        self.checksum = hashlib.sha256(sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """The schema files that this program brings, in order."""
    found = [entry for entry in (_HERE / "schema").iterdir() if entry.name[0].isdigit()]
    return [
        Migration(int(entry.name[:4]), entry.name, entry.read_text("utf-8"))
        for entry in sorted(found, key=lambda entry: entry.name)
    ]


def pending(connection: apsw.Connection) -> list[Migration]:
    """What is still to be applied. Raises SchemaError for a newer or altered schema."""
    sql = load_statements()
    exists = connection.execute(sql["has_migrations"]).get
    applied = dict(connection.execute(sql["applied_migrations"])) if exists else {}
    known = {migration.number: migration for migration in migrations()}
    if newer := set(applied) - set(known):
        message = (
            f"the database has schema {max(newer):04}, which this version of "
            f"watchword does not know (it knows {max(known):04}): update watchword"
        )
        raise SchemaError(message)
    for number, checksum in applied.items():
        if known[number].checksum != checksum:
            message = f"schema {known[number].name} was altered after it was applied"
            raise SchemaError(message)
    return [known[number] for number in sorted(set(known) - set(applied))]


def migrate(connection: apsw.Connection) -> list[Migration]:
    """Apply what is pending, all of it or nothing, one process at a time."""
    if not pending(connection):
        return []
    sql = load_statements()
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(sql["create_migrations"])
        # Read again under the lock: another process may have been first.
        applied = pending(connection)
        for migration in applied:
            connection.execute(migration.sql)
            done = (migration.number, migration.checksum)
            connection.execute(sql["migrated"], done)
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return applied
