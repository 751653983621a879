"""Stores in PostgreSQL, and what somebody else does to the database meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from watchword.ports import Stores
from watchword.stores import open_stores
from watchword.testing import SeededEntropy


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Stores]:
    """A store in that database."""
    stores = await open_stores(url, SeededEntropy())
    try:
        yield stores
    finally:
        await stores.backend.close()


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


async def waiting(url: str, number: int) -> list[int]:
    """The ids of those that wait for a lock there, once there are so many."""
    found = (
        "SELECT array_agg(pid), count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "HAVING count(*) = $1"
    )
    async with somebody(url) as watch:
        row = await until(lambda: watch.fetchrow(found, number))
    return row[0] or []
