"""A connection to Valkey that is cut, at every byte that goes over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scenarios.world import World, generation_of, key
from tests.servers.proxy import Proxy, Way, proxy
from tests.servers.redis import Redis
from watchword.core.limits import FEED_PAGE
from watchword.core.session import TokenSet
from watchword.errors import SessionRevoked, StoreUnavailable
from watchword.ports.audit import EventType
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy

WRONG = [EventType.TOKEN_REUSE, EventType.TOKEN_REWOUND, EventType.SESSION_REVOKED]
# Half a request is none, wherever it was cut: there a sample is enough.
EACH = [("request", 11), ("answer", 1)]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Redis]:
    server = Redis(appendfsync="always").start()
    yield server
    server.kill()


@pytest_asyncio.fixture
async def cutter(valkey: Redis) -> AsyncIterator[Proxy]:
    async with proxy(valkey.port) as made:
        yield made


@pytest_asyncio.fixture
async def world(valkey: Redis, cutter: Proxy, tmp_path: Path) -> AsyncIterator[World]:
    url = valkey.url().replace(str(valkey.port), str(cutter.port))
    records = f"sqlite:///{tmp_path}/records.db"
    stores = await open_stores(records, SeededEntropy("store"), url)
    yield await World(stores, ManualClock()).start()
    await stores.backend.close()


@pytest.mark.parametrize(("way", "step"), EACH)
async def test_a_refresh_cut_anywhere_has_one_successor(
    world: World, cutter: Proxy, way: Way, step: int
) -> None:
    """It succeeds, or is asked for again with its key: the same rotation, made once."""
    tokens = await world.sign_in()
    for number in count():
        cutter.cut_after(way, number * step)
        successor = await _until_answered(world, tokens, key(number))
        cut = cutter.has_cut
        again = await _until_answered(world, tokens, key(number))
        assert again.refresh_token == successor.refresh_token
        assert generation_of(world, successor.refresh_token) == number + 1
        tokens = successor
        world.clock.advance(60_000)
        if not cut:
            break
    assert number * step > 100
    assert (await world.row(tokens)).generation == number + 1
    assert len(await world.events(EventType.SIGN_IN)) == 1
    assert not await world.events(*WRONG)


@pytest.mark.parametrize(("way", "step"), EACH)
async def test_a_logout_cut_anywhere_is_told_once(
    world: World, cutter: Proxy, way: Way, step: int
) -> None:
    """Once acknowledged, the session is over, with one event and one entry."""
    for number in count():
        cutter.count()
        tokens = await world.sign_in()
        cutter.cut_after(way, number * step)
        while True:
            try:
                await world.logout(tokens)
                break
            except StoreUnavailable:
                continue
        cut = cutter.has_cut
        cutter.count()
        with pytest.raises(SessionRevoked):
            await _until_answered(world, tokens, key())
        if not cut:
            break
    feed = await world.stores.sessions.ended(None, world.clock(), FEED_PAGE)
    assert len(feed.entries) == number + 1
    assert len(await world.events(EventType.SESSION_REVOKED)) == number + 1


async def _until_answered(world: World, tokens: TokenSet, retry_key: str) -> TokenSet:
    while True:
        try:
            return await world.refresh(tokens, retry_key)
        except StoreUnavailable:
            continue
