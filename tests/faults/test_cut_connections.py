"""A connection to PostgreSQL that is cut while a rotation is being committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from tests.scenarios.world import World, generation_of, key
from tests.servers.postgresql import postgresql
from tests.servers.proxy import Proxy, Way, proxy
from watchword.core.limits import MINUTE
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType
from watchword.ports.sessions import Change, SessionStore
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy


class CutAtSwap:
    """Sessions of which the next swap is cut off after so many bytes, either way."""

    def __init__(self, sessions: SessionStore, between: Proxy) -> None:
        self.cut: tuple[Way, int] | None = None
        self.between = between
        self.is_remote = sessions.is_remote
        self._sessions = sessions

    async def swap(self, changes: Sequence[Change]) -> Sequence[bool]:
        if self.cut is not None:
            self.between.cut_after(*self.cut)
            self.cut = None
        return await self._sessions.swap(changes)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._sessions, verb)


@pytest_asyncio.fixture
async def cutting() -> AsyncIterator[tuple[World, CutAtSwap]]:
    """A world on PostgreSQL, by way of a proxy."""
    url, port = postgresql().new_database(), postgresql().port
    async with proxy(port) as between:
        through = url.replace(f":{port}/", f":{between.port}/")
        opened = await open_stores(through, SeededEntropy())
        sessions = CutAtSwap(opened.sessions, between)
        on = replace(opened, sessions=sessions)
        yield await World(on, ManualClock()).start(), sessions
        await opened.backend.close()


async def _size_of_a_swap(world: World, sessions: CutAtSwap) -> dict[Way, int]:
    """How many bytes it takes there and back, once its statement is prepared."""
    token = await world.refresh(await world.sign_in(), key(1))
    sessions.cut = ("request", 1_000_000)
    await world.refresh(token, key(2))
    assert not sessions.between.has_cut
    return dict(sessions.between.passed)


# Half a request is none, wherever it was cut: there a sample is enough.
@pytest.mark.parametrize(("way", "step"), [("request", 7), ("answer", 1)])
async def test_cut_at_every_byte_of_a_commit(
    way: Way, step: int, cutting: tuple[World, CutAtSwap]
) -> None:
    """Committed or not: the client's key gets the one successor, nothing is revoked."""
    world, sessions = cutting
    keys = map(key, count(10))
    size = (await _size_of_a_swap(world, sessions))[way]
    tokens = await world.sign_in()
    for number, position in enumerate(range(size, -1, -step)):
        # By a connection that knows how.
        tokens = await world.refresh(tokens, next(keys))
        sent = next(keys)
        sessions.cut = (way, position)
        try:
            answer = (await world.refresh(tokens, sent)).refresh_token
        except StoreUnavailable:
            answer = await world.outcome(tokens, sent)
        assert generation_of(world, answer) == 2 * number + 2
        again = await world.refresh(tokens, sent)
        assert again.refresh_token == answer
        tokens = again
        assert sessions.between.has_cut
        world.clock.advance(MINUTE)  # so many retries in one would be refused
    assert await world.events(EventType.TOKEN_REUSE, EventType.TOKEN_REWOUND) == []
