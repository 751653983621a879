"""Engines over one store: their clocks differ, and what is to be done once is.

Each engine is a machine with a clock of its own, moved by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scenarios.api import settings_for
from tests.scenarios.world import ON_EVERY_STORE, World, key
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core.actor import APP, EndReason
from watchword.core.limits import ACCESS_TTL, HOUR, KEY_ROTATION, MINUTE, SECOND
from watchword.core.session import Authenticated, SessionOptions, TokenSet
from watchword.errors import TokenRevoked
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.testing import ManualClock, SeededEntropy

STEP = 10 * SECOND


async def machine(stores: Stores, ahead: int = 0) -> World:
    """One whose clock is so far ahead."""
    clock = ManualClock()
    clock.advance(ahead)
    return await World(stores, clock, seed=str(ahead)).start()


async def pass_time(ms: int, *machines: World) -> None:
    """And what each does meanwhile."""
    for one in machines:
        one.clock.advance(ms)
        one.monotonic.advance(ms)
        await one.revocations.follow()
        one.revocations.forget_expired()


async def rotated(here: World, there: World, tokens: TokenSet, number: int) -> TokenSet:
    """The successor, from here; there, who asks again with the key gets the same."""
    successor = await here.refresh(tokens, key(number))
    again = await there.refresh(tokens, key(number))
    assert again.refresh_token == successor.refresh_token
    assert here.accepts(successor) == there.accepts(again) == "ok"
    return successor


async def end(here: World, there: World) -> None:
    """A session of both ends here: dead in both until its tokens have expired.

    Whatever the clocks are, and though both sweep all the time.
    """
    tokens = await there.sign_in()
    access = [tokens.access_token, (await here.refresh(tokens, key(1))).access_token]
    assert await here.logout(tokens) == 1
    await there.revocations.follow()
    for _ in range(0, ACCESS_TTL + STEP, STEP):
        for one in (there, here):
            assert "ok" not in map(one.accepts, access)
            await one.sweep()
        await pass_time(STEP, here, there)
    assert await there.outcome(tokens, key()) == "session_revoked"


@ON_EVERY_STORE
async def test_clocks_that_are_seconds_apart_are_not_noticed(stores: Stores) -> None:
    """Tokens of either are good with the other, and a logout reaches the other."""
    one, two = await machine(stores), await machine(stores, 5 * SECOND)
    tokens = await one.sign_in()
    for number in range(20):
        here, there = (one, two) if number % 2 else (two, one)
        tokens = await rotated(here, there, tokens, number)
        assert here.accepts(tokens) == there.accepts(tokens) == "ok"
        await pass_time(30 * SECOND, one, two)
    for here, there in ((one, two), (two, one)):
        await end(here, there)
    await rotated(one, two, tokens, 20)
    assert not await one.events(EventType.TOKEN_REUSE)


@ON_EVERY_STORE
async def test_a_clock_that_is_set_an_hour_back_and_forth_logs_nobody_out(
    stores: Stores,
) -> None:
    """Its access tokens have expired elsewhere until it is right; that is all."""
    one, two = await machine(stores), await machine(stores)
    tokens = await one.sign_in()
    for step in (-HOUR, HOUR, HOUR, -HOUR):
        two.clock.advance(step)
        for number in range(4):
            here, there = (one, two) if number % 2 else (two, one)
            tokens = await rotated(here, there, tokens, number + abs(step))
            await pass_time(SECOND, one, two)
        for here, there in ((one, two), (two, one)):
            await end(here, there)
    tokens = await rotated(one, two, tokens, 4)
    assert one.accepts(tokens) == two.accepts(tokens) == "ok"
    assert not await one.events(EventType.TOKEN_REUSE)


SHARED = pytest.mark.parametrize(
    "kind", ["sqlite", "postgresql-16", "valkey-9"], indirect=True
)


def opened(
    settings: Settings, clock: ManualClock, name: str, here: Callable[[], int]
) -> AbstractAsyncContextManager[Watchword]:
    """A server's engine; `here` is its monotonic clock."""
    return open_watchword(
        settings,
        clock=clock,
        monotonic=here,
        entropy=SeededEntropy(name),
        hashing=INSECURE_FOR_TESTS,
        background=False,
    )


@pytest_asyncio.fixture
async def both(
    kind: str, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[list[Watchword]]:
    """Two servers' engines over one store."""
    settings = settings_for(tmp_path, kind)
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                opened(settings, clock, name, lambda: clock.now)
            )
            for name in ("one", "two")
        ]


@SHARED
async def test_one_of_them_sweeps_in_a_minute_and_another_takes_over(
    both: list[Watchword], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[Watchword] = []
    for one in both:

        async def sweep(*_: int, one: Watchword = one) -> int:
            swept.append(one)
            return 0

        monkeypatch.setattr(one.stores.backend, "sweep", sweep)
    for _ in range(20):
        await asyncio.gather(*(one.maintenance.sweep() for one in both))
        clock.advance(MINUTE)
    assert len(swept) == 20
    swept.clear()
    await both[0].maintenance.sweep()
    for _ in range(3):  # it died; the other goes on
        clock.advance(MINUTE)
        await both[1].maintenance.sweep()
        await both[1].maintenance.sweep()
    assert swept == [both[0], *[both[1]] * 3]


@SHARED
async def test_a_clock_set_ahead_and_back_revives_no_session(
    clock: ManualClock, kind: str, tmp_path: Path
) -> None:
    """No sweep across the jump: a process that starts then still reads of the end."""
    here, settings = ManualClock(0), settings_for(tmp_path, kind)
    async with opened(settings, clock, "one", here) as swept:
        options = SessionOptions(client_id="first-party")
        user = Authenticated.by_password(bytes(16), at=clock())
        tokens = await swept.sessions.start(user, options)
        await swept.sessions.end_one(tokens.session.id, EndReason.LOGOUT, by=APP)
        for hours in (1, -1):
            clock.advance(hours * HOUR + 30 * SECOND)
            here.advance(30 * SECOND)
            await swept.maintenance.sweep()
    async with opened(settings, clock, "two", here) as started:
        with pytest.raises(TokenRevoked):
            started.checker.verify(tokens.access_token)


@SHARED
async def test_keys_that_are_due_are_rotated_once(
    both: list[Watchword], clock: ManualClock
) -> None:
    """All find it due in the same minute, and sign with the same key afterwards."""
    for _ in range(3):
        clock.advance(KEY_ROTATION)
        before = both[0].keys.active.kid
        await asyncio.gather(*(one.keys.maintain() for one in both))
        await asyncio.gather(*(one.keys.refresh() for one in both))
        assert both[0].keys.active.kid == both[1].keys.active.kid != before
    events = [event for _, event in await both[0].stores.audit.read(0, 100)]
    changes = [e.detail["change"] for e in events if e.type is EventType.KEY_CHANGED]
    assert changes.count("rotated") == 3
