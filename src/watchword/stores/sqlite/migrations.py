"""The schema of the file: which migrations it has, and how others are applied."""

from __future__ import annotations

import apsw

from watchword.stores.sql import files
from watchword.stores.sql.files import Migration, load_statements


def pending(connection: apsw.Connection) -> list[Migration]:
    """The migrations to apply. Raises SchemaError for a newer or altered schema."""
    sql = load_statements("sqlite")
    exists = connection.execute(sql["has_migrations"]).get
    applied = dict(connection.execute(sql["applied_migrations"])) if exists else {}
    return files.pending("sqlite", applied)


def migrate(connection: apsw.Connection) -> list[Migration]:
    """Apply all pending migrations or none of them, one process at a time.

    Returns those that were applied.
    """
    if not pending(connection):
        return []
    sql = load_statements("sqlite")
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(sql["create_migrations"])
        # Read again with the lock: another process may have been first.
        applied = pending(connection)
        for migration in applied:
            connection.execute(migration.sql)
            done = (migration.number, migration.checksum)
            connection.execute(sql["migrated"], done)
    except BaseException:
        if connection.in_transaction:  # not after a full disk, which ends it
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return applied
