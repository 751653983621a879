"""A new SQLite store in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stores.on_file import opened
from watchword.stores.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "watchword.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = opened(path)
    yield store
    await store.close()
