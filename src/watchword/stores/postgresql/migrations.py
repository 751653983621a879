"""The schema of the database: which migrations it has, and how others are applied."""

from __future__ import annotations

import asyncpg

from watchword.stores.postgresql.connection import SQL
from watchword.stores.sql import files
from watchword.stores.sql.files import Migration


async def pending(raw: asyncpg.Connection) -> list[Migration]:
    """The migrations to apply. Raises SchemaError for a newer or altered schema."""
    applied: dict[int, str] = {}
    if await raw.fetchval(SQL["has_migrations"]):
        rows = await raw.fetch(SQL["applied_migrations"])
        applied = {row[0]: row[1] for row in rows}
    return files.pending("postgresql", applied)


async def migrate(raw: asyncpg.Connection) -> list[Migration]:
    """Apply all pending migrations or none of them, one process at a time.

    Returns those that were applied.
    """
    if not await pending(raw):
        return []
    # Read committed, whatever the default is: a read after the lock must see what the
    # process that had the lock before has committed.
    async with raw.transaction(isolation="read_committed"):
        await raw.execute(SQL["no_statement_timeout"])
        await raw.execute(SQL["lock_migrations"])
        await raw.execute(SQL["create_migrations"])
        applied = await pending(raw)
        for migration in applied:
            await raw.execute(migration.sql)
            done = (migration.number, migration.checksum)
            await raw.execute(SQL["migrated"], *done)
    return applied
