"""Stores in PostgreSQL, and what somebody else does to the database meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from watchword.stores.postgresql import PostgresqlStore
from watchword.testing import SeededEntropy


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresqlStore]:
    """A store in that database."""
    store = await PostgresqlStore.open(url, SeededEntropy())
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def somebody(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else, connected to the database."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for it; the test's own time-out ends what never comes."""
    while not (it := await found()):  # noqa: ASYNC110 - the database sends no events
        await asyncio.sleep(0.01)
    return it


async def waiting(connection: asyncpg.Connection, number: int) -> list[int]:
    """So many that wait for a lock in this database, once there are: their ids."""

    async def who() -> list[int] | None:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return [row[0] for row in rows] if len(rows) == number else None

    found: list[int] = await until(who)
    return found
