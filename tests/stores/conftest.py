"""New stores for the tests of one test: SQLite in a folder of its own, Redis by URL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers.redis import Redis
from tests.stores.on_file import opened as opened_file
from tests.stores.on_redis import Opener
from watchword.ports import Stores
from watchword.stores import open_stores
from watchword.stores.redis import node, servers
from watchword.testing import SeededEntropy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "watchword.db"


@pytest.fixture
async def stores(path: Path) -> AsyncIterator[Stores]:
    stores = await opened_file(path)
    yield stores
    await stores.backend.close()


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opener]:
    all_opened: list[Stores] = []

    async def open_one(url: str, wait: tuple[int, int] = (1, 0)) -> Stores:
        entropy = SeededEntropy(f"{len(all_opened)}")
        stores = await open_stores(f"sqlite:///{tmp_path}/r.db", entropy, url, wait)
        all_opened.append(stores)
        return stores

    yield open_one
    for stores in all_opened:
        await stores.backend.close()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """A server of the test's own, which may be stopped and set at will."""
    name = getattr(request, "param", "valkey-9")
    quick = {"appendfsync": "always", "repl_diskless_sync_delay": "0"}
    own = Redis(name, **quick).start()
    yield own
    own.kill()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis store soon gives up what it cannot have."""
    monkeypatch.setattr(node, "ANSWER_TIMEOUT", 1.0)
    monkeypatch.setattr(node, "WAITS_MS", (50,))
    monkeypatch.setattr(servers, "ANSWER_TIMEOUT", 1.0)
    monkeypatch.setattr(servers, "PAUSES", (0, 0, *[0.01] * 5))
