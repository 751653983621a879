"""The revocation set: complete before it speaks, honest when it cannot know."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.core.test_rotation import session
from watchword.core.limits import FEED_STALE, MINUTE
from watchword.core.session import Ended, as_text
from watchword.errors import StoreUnavailable
from watchword.ports import Cursor, Event, EventType, Feed, OneSession, Store
from watchword.revocation import Revocations
from watchword.stores import open_store
from watchword.testing import ManualClock, SeededEntropy

ONE, TWO = b"1" * 16, b"2" * 16


class Cut:
    """A feed that can be cut, and that a test writes."""

    def __init__(self) -> None:
        self.cut = False
        self.entries: list[Ended] = []
        self.asked: list[Cursor | None] = []

    async def ended(self, after: Cursor | None, now: int) -> Feed:
        self.asked.append(after)
        if self.cut:
            raise StoreUnavailable
        seen = 0 if after is None else after.sequence
        new = self.entries[seen:]
        return Feed(new, Cursor(b"life", len(self.entries)), now)


class Setup:
    def __init__(self) -> None:
        self.clock, self.monotonic, self.feed = ManualClock(), ManualClock(0), Cut()
        self.revocations = Revocations(
            self.feed,  # type: ignore[arg-type]  # the one verb that is used
            self.clock,
            self.monotonic,
        )


@pytest.fixture
def world() -> Setup:
    return Setup()


async def test_nothing_is_said_before_the_first_complete_read(world: Setup) -> None:
    assert not world.revocations.is_current()
    with pytest.raises(StoreUnavailable):
        world.revocations.has_ended(as_text(ONE))
    world.revocations.add([Ended(ONE, 0, world.clock.now + 1)])
    with pytest.raises(StoreUnavailable):  # not even what is known already
        world.revocations.has_ended(as_text(ONE))
    world.feed.cut = True
    with pytest.raises(StoreUnavailable):
        await world.revocations.follow()
    assert not world.revocations.is_current()
    world.feed.cut = False
    await world.revocations.follow()
    assert world.revocations.has_ended(as_text(ONE))
    assert not world.revocations.has_ended(as_text(TWO))


async def test_cut_off_it_is_silent_after_the_bound_and_recovers_by_itself(
    world: Setup,
) -> None:
    await world.revocations.follow()
    world.feed.cut = True
    world.monotonic.advance(FEED_STALE)
    assert not world.revocations.has_ended(as_text(ONE))
    world.monotonic.advance(1)
    with pytest.raises(StoreUnavailable):
        world.revocations.has_ended(as_text(ONE))
    world.feed.entries.append(Ended(ONE, 0, world.clock.now + MINUTE))
    with pytest.raises(StoreUnavailable):
        await world.revocations.follow()
    world.feed.cut = False
    await world.revocations.follow()
    assert world.revocations.has_ended(as_text(ONE))


async def test_staleness_is_measured_on_the_monotonic_clock(world: Setup) -> None:
    """A wall clock that is set neither blinds the process nor makes it trust."""
    await world.revocations.follow()
    world.clock.advance(10 * FEED_STALE)
    assert world.revocations.is_current()
    world.clock.advance(-20 * FEED_STALE)
    world.monotonic.advance(FEED_STALE + 1)
    assert not world.revocations.is_current()


async def test_a_read_counts_from_when_it_was_asked(world: Setup) -> None:
    """What was committed while the answer was under way may be missing from it."""
    slow = world.feed.ended

    async def ended(after: Cursor | None, now: int) -> Feed:
        feed = await slow(after, now)
        world.monotonic.advance(FEED_STALE)
        return feed

    world.feed.ended = ended  # type: ignore[method-assign]  # half a minute late
    await world.revocations.follow()
    assert world.revocations.is_current()
    world.monotonic.advance(1)
    assert not world.revocations.is_current()


async def test_it_reads_on_from_its_cursor(world: Setup) -> None:
    for _ in range(2):
        await world.revocations.follow()
        world.feed.entries.append(Ended(ONE, 0, world.clock.now + 1))
    await world.revocations.follow()
    assert world.feed.asked == [None, Cursor(b"life", 0), Cursor(b"life", 1)]


async def test_entries_go_when_no_access_token_can_be_left(world: Setup) -> None:
    await world.revocations.follow()
    until = world.clock.now + MINUTE
    world.revocations.add([Ended(ONE, 0, until), Ended(TWO, 0, until + 1)])
    world.revocations.add([Ended(ONE, 0, until - 1)])  # never shortens
    world.clock.now = until - 1
    world.revocations.forget_expired()
    assert len(world.revocations) == 2
    world.clock.advance(1)
    world.revocations.forget_expired()
    assert not world.revocations.has_ended(as_text(ONE))
    assert world.revocations.has_ended(as_text(TWO))


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/a.db"
    opened = await open_store(url, SeededEntropy())
    yield opened
    await opened.close()


async def test_over_a_real_store_late_starters_and_followers_know_the_same(
    store: Store,
) -> None:
    clock = ManualClock()
    event = Event(type=EventType.SESSION_REVOKED, at=clock.now)
    early = Revocations(store, clock, ManualClock(0))
    await early.follow()
    for identifier in (ONE, TWO):
        row = session(
            id=identifier,
            authenticated_at=clock.now,
            idle_expires_at=clock.now + MINUTE,
        )
        await store.create(row, event)
        assert len(await store.end(OneSession(identifier), "x", event, 10)) == 1
        await early.follow()
    late = Revocations(store, clock, ManualClock(0))
    await late.follow()
    for revocations in (early, late):
        assert len(revocations) == 2
        assert revocations.has_ended(as_text(ONE))
        assert revocations.has_ended(as_text(TWO))
