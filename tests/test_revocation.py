"""The revocation set: complete before it speaks, honest when it cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.core.test_rotation import session
from watchword.core.actor import EndReason
from watchword.core.limits import FEED_READS, FEED_STALE, HOUR, MINUTE
from watchword.core.session import Ended, as_text
from watchword.errors import StoreUnavailable
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import ById, Cursor, FeedPage
from watchword.revocation.tracker import RevocationTracker
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy

ONE, TWO = b"1" * 16, b"2" * 16


class Cut:
    """A feed that can be cut, or hang, or be behind, and that a test writes."""

    def __init__(self) -> None:
        self.cut = False
        self.hangs: asyncio.Event | None = None
        self.behind = 0
        self.page: int | None = None
        self.life = b"life"
        self.entries: list[Ended] = []
        self.requested: list[Cursor | None] = []

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        self.requested.append(after)
        if self.cut:
            raise StoreUnavailable
        known = after is not None and after.incarnation == self.life
        seen = after.sequence if after is not None and known else 0
        page = self.entries[seen:][: self.page or limit]
        cursor = Cursor(self.life, seen + len(page))
        more = cursor.sequence < len(self.entries)
        feed = FeedPage(page, cursor, now - self.behind, more)
        if (hangs := self.hangs) is not None:
            await hangs.wait()
        return feed


class Setup:
    def __init__(self) -> None:
        self.clock, self.monotonic, self.feed = ManualClock(), ManualClock(0), Cut()
        self.revocations = RevocationTracker(
            sessions=self.feed,  # type: ignore[arg-type]  # the one verb that is used
            clock=self.clock,
            monotonic=self.monotonic,
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

    async def ended(after: Cursor | None, now: int, limit: int) -> FeedPage:
        feed = await slow(after, now, limit)
        world.monotonic.advance(FEED_STALE)
        return feed

    world.feed.ended = ended  # type: ignore[method-assign]  # half a minute late
    await world.revocations.follow()
    assert world.revocations.is_current()
    world.monotonic.advance(1)
    assert not world.revocations.is_current()


async def test_a_long_feed_counts_with_its_last_page(world: Setup) -> None:
    """Cut off between two pages, it is as if none had come; then all are there."""
    pages = iter([False, True])
    whole = world.feed.ended

    async def ended(after: Cursor | None, now: int, limit: int) -> FeedPage:
        world.feed.cut = next(pages, False)
        return await whole(after, now, limit)

    world.feed.ended = ended  # type: ignore[method-assign]  # the second is lost
    world.feed.page = 1
    until = world.clock.now + MINUTE
    world.feed.entries = [Ended(one, world.clock.now, until) for one in (ONE, TWO)]
    with pytest.raises(StoreUnavailable):
        await world.revocations.follow()
    assert not world.revocations.is_current()
    await world.revocations.follow()
    assert all(map(world.revocations.has_ended, map(as_text, (ONE, TWO))))


async def test_a_long_read_is_as_old_as_its_first_page(world: Setup) -> None:
    """And it is not begun anew: the next one goes on from where its last page was."""
    whole = world.feed.ended

    async def ended(after: Cursor | None, now: int, limit: int) -> FeedPage:
        world.monotonic.advance(FEED_STALE // 2 + 1)
        return await whole(after, now, limit)

    world.feed.ended = ended  # type: ignore[method-assign]  # each page takes long
    world.feed.page = 1
    until = world.clock.now + MINUTE
    world.feed.entries = [Ended(one, world.clock.now, until) for one in (ONE, TWO)]
    await world.revocations.read()
    assert not world.revocations.is_current()
    world.feed.ended = whole  # type: ignore[method-assign]
    world.monotonic.advance(-FEED_STALE // 2)  # the last page was asked for just now
    await world.revocations.read()
    assert world.feed.requested[-1] == Cursor(world.feed.life, 2)


async def test_a_read_whose_pages_come_is_left_alone(world: Setup) -> None:
    """However long it takes, no other begins beside it, and it is no fault."""
    whole, go_on = world.feed.ended, asyncio.Semaphore(1)

    async def ended(after: Cursor | None, now: int, limit: int) -> FeedPage:
        await go_on.acquire()
        return await whole(after, now, limit)

    world.feed.ended = ended  # type: ignore[method-assign]  # a page when we say so
    world.feed.page = 1
    until = world.clock.now + MINUTE
    world.feed.entries = [Ended(one, world.clock.now, until) for one in (ONE, TWO)]
    await world.revocations.follow()
    assert len(world.feed.requested) == 1
    go_on.release()
    await world.revocations.follow()
    assert world.feed.requested == [None, Cursor(world.feed.life, 1)]
    assert world.revocations.is_current()


async def test_what_a_row_says_is_forgotten_with_its_last_access_token(
    world: Setup,
) -> None:
    """An old token, shown again and again, brings nothing back."""
    world.revocations.note_revoked(session())
    gone = session().ended(EndReason.LOGOUT, world.clock.now)
    world.clock.now = gone.feed_entry().until
    world.revocations.note_revoked(gone)
    assert len(world.revocations) == 0
    world.clock.now -= 1
    world.revocations.note_revoked(gone)
    assert len(world.revocations) == 1


async def test_it_reads_on_from_its_cursor(world: Setup) -> None:
    for _ in range(2):
        await world.revocations.follow()
        world.feed.entries.append(Ended(ONE, 0, world.clock.now + 1))
    await world.revocations.follow()
    assert world.feed.requested == [None, Cursor(b"life", 0), Cursor(b"life", 1)]


async def test_entries_go_when_no_access_token_can_be_left(world: Setup) -> None:
    await world.revocations.follow()
    until = world.clock.now + MINUTE
    begun = world.clock.now
    world.revocations.add([Ended(ONE, begun, until), Ended(TWO, begun, until + 1)])
    world.revocations.add([Ended(ONE, begun, until - 1)])  # never shortens
    for clock in (world.clock, world.monotonic):
        clock.advance(MINUTE - 1)
    world.revocations.forget_expired()
    assert len(world.revocations) == 2
    for clock in (world.clock, world.monotonic):
        clock.advance(1)
    world.revocations.forget_expired()
    await world.revocations.follow()
    assert not world.revocations.has_ended(as_text(ONE))
    assert world.revocations.has_ended(as_text(TWO))


async def test_a_clock_that_is_set_makes_nobody_forget(world: Setup) -> None:
    """An hour on and back again, and an entry by somebody whose clock is far behind."""
    await world.revocations.follow()
    begun = world.clock.now
    world.revocations.add([Ended(ONE, begun, begun + MINUTE)])
    behind = begun - HOUR
    world.revocations.add([Ended(TWO, behind, behind + MINUTE)])
    world.clock.advance(HOUR)
    world.revocations.forget_expired()
    world.clock.advance(-HOUR)
    assert world.revocations.has_ended(as_text(ONE))
    assert world.revocations.has_ended(as_text(TWO))
    world.monotonic.advance(MINUTE)
    world.clock.advance(-HOUR)
    await world.revocations.follow()
    world.revocations.forget_expired()
    assert world.revocations.has_ended(as_text(ONE))  # may be accepted again by then


async def test_a_read_that_hangs_neither_blocks_the_next_nor_counts(
    world: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.revocation.tracker._READ_TIMEOUT", 0.01)
    await world.revocations.follow()
    world.feed.hangs = hanging = asyncio.Event()
    world.monotonic.advance(FEED_STALE)
    for _ in range(FEED_READS + 1):  # and no more than so many at a time
        with pytest.raises(StoreUnavailable):
            await world.revocations.follow()
    assert len(world.feed.requested) == 1 + FEED_READS
    world.monotonic.advance(1)
    assert not world.revocations.is_current()
    hanging.set()
    await world.revocations.follow()
    assert world.revocations.is_current()
    world.feed.hangs = hanging = asyncio.Event()
    with pytest.raises(StoreUnavailable):
        await world.revocations.follow()
    world.feed.hangs = None
    world.monotonic.advance(1)
    world.feed.entries.append(Ended(ONE, 0, world.clock.now + MINUTE))
    await world.revocations.follow()
    assert world.revocations.has_ended(as_text(ONE))
    hanging.set()  # late, and of before: it takes nothing back
    await world.revocations.follow()
    assert world.feed.requested[-2:] == [Cursor(b"life", 0), Cursor(b"life", 1)]
    assert world.revocations.has_ended(as_text(ONE))


async def test_what_hangs_is_let_go_of_at_the_end(
    world: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.revocation.tracker._READ_TIMEOUT", 0.01)
    world.feed.hangs = asyncio.Event()
    with pytest.raises(StoreUnavailable):
        await world.revocations.follow()
    await world.revocations.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_store_that_knows_itself_behind_is_as_old_as_it_says(
    world: Setup,
) -> None:
    """A replica, say: complete as of a while ago."""
    world.feed.behind = FEED_STALE
    await world.revocations.follow()
    assert world.revocations.is_current()
    world.monotonic.advance(1)
    assert not world.revocations.is_current()


async def test_another_life_of_the_store_is_read_from_its_beginning(
    world: Setup,
) -> None:
    """What the former one said stays: a session that has ended never comes back."""
    world.feed.entries = [Ended(ONE, 0, world.clock.now + MINUTE)] * 3
    await world.revocations.follow()
    world.feed.life = b"restored"
    world.feed.entries = [Ended(TWO, 0, world.clock.now + MINUTE)]
    await world.revocations.follow()
    await world.revocations.follow()
    assert world.feed.requested[-2:] == [Cursor(b"life", 3), Cursor(b"restored", 1)]
    for one in (ONE, TWO):
        assert world.revocations.has_ended(as_text(one))


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Stores]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/a.db"
    opened = await open_stores(url, SeededEntropy())
    yield opened
    await opened.backend.close()


async def test_over_a_real_store_late_starters_and_followers_know_the_same(
    stores: Stores,
) -> None:
    clock = ManualClock()
    event = Event(type=EventType.SESSION_REVOKED, at=clock.now)
    early = RevocationTracker(
        sessions=stores.sessions, clock=clock, monotonic=ManualClock(0)
    )
    await early.follow()
    for identifier in (ONE, TWO):
        row = session(
            id=identifier,
            authenticated_at=clock.now,
            idle_expires_at=clock.now + MINUTE,
        )
        await stores.sessions.create(row, event)
        assert (
            len(
                await stores.sessions.end(ById(identifier), EndReason.LOGOUT, event, 10)
            )
            == 1
        )
        await early.follow()
    late = RevocationTracker(
        sessions=stores.sessions, clock=clock, monotonic=ManualClock(0)
    )
    await late.follow()
    for revocations in (early, late):
        assert len(revocations) == 2
        assert revocations.has_ended(as_text(ONE))
        assert revocations.has_ended(as_text(TWO))
