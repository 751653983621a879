"""Fixtures of the stories: a store of each kind, a process over it, the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from tests.scenarios.api import LocalApi, local_api, settings_for
from tests.scenarios.world import EMBEDDED, Faulty, World
from tests.servers.stores import STORES
from watchword import batching
from watchword.ports import Stores
from watchword.testing import ManualClock

MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture(params=EMBEDDED)
def kind(request: pytest.FixtureRequest) -> str:
    """The store. Marked `ON_EVERY_STORE`, a story is told on those of a server too."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes together shares a batch, however slow this machine is."""
    monkeypatch.setattr(batching, "MAX_GATHERING", 3600)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def stores(kind: str, tmp_path: Path) -> AsyncIterator[Stores]:
    opened = await STORES[kind].place(tmp_path).open("store")
    yield opened
    await opened.backend.close()


@pytest.fixture
def faulty(stores: Stores) -> Faulty:
    return Faulty(stores.sessions)


@pytest.fixture
def make_world(stores: Stores, faulty: Faulty, clock: ManualClock) -> MakeWorld:
    """Makes another process over the same store, with a policy of its own."""
    seeds = iter(range(1000))

    async def make(**given: Any) -> World:
        on = given.pop("stores", None) or replace(stores, sessions=faulty)
        return await World(on, clock, seed=str(next(seeds)), **given).start()

    return make


@pytest_asyncio.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world()


@pytest_asyncio.fixture
async def api(kind: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(settings_for(tmp_path, kind), clock) as opened:
        yield opened
