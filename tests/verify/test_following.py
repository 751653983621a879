"""How old the news is: by the server's stamps, whenever they come."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from watchword.core import limits
from watchword.core.limits import FEED_STALE, HOUR, MINUTE, SECOND
from watchword.errors import StoreUnavailable
from watchword.testing import ManualClock
from watchword.tokens.jose import Malformed
from watchword.verify import bounds
from watchword.verify.following import Answer, EndedSession, FeedFollower, read_answer
from watchword.verify.keyset import NotYet

ONE, TWO = "a" * 32, "b" * 32


class Server:
    """A server process: its own monotonic clock, and what it has in its log."""

    def __init__(self, incarnation: str = ONE, now: int = 7 * HOUR) -> None:
        self.incarnation = incarnation
        self.now = now
        self.entries: list[EndedSession] = []
        self.complete_as_of: int | None = None  # where its own read is behind

    def end(self, sid: str, at: int = 0, life: int = 7 * MINUTE) -> None:
        self.entries.append(EndedSession(sid, at, at + life))

    def answer(self, cursor: str, page: int = 1000) -> Answer:
        places = dict(one.split(".") for one in cursor.split(",") if one)
        known = self.incarnation in places
        begin = int(places.get(self.incarnation, 0))
        entries = self.entries[begin : begin + page]
        return Answer(
            f"{self.incarnation}.{begin + len(entries)}",
            entries,
            begin + page < len(self.entries),
            not known,
            self.now,
            self.now if self.complete_as_of is None else self.complete_as_of,
        )


class World:
    """A follower of that server, over a network that takes its time."""

    def __init__(self, *, closed: bool = True) -> None:
        self.clock, self.here = ManualClock(), ManualClock(0)
        self.server = Server()
        self.followed = FeedFollower(self.clock, self.here, closed=closed)

    def pass_by(self, ms: int, drift: float = 0) -> None:
        """Time, for both; the server's clock goes that much faster."""
        self.here.advance(ms)
        self.clock.advance(ms)
        self.server.now += ms + int(ms * drift)

    def ask(self, *, there: int = 0, back: int = 0, page: int = 1000) -> None:
        """A request that takes so long there, and its answer so long back."""
        sent = self.here.now
        self.pass_by(there)
        answer = self.server.answer(self.followed.cursors, page)
        self.pass_by(back)
        self.followed.take(answer, sent=sent, received=self.here.now)


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_said_before_the_first_complete_read(world: World) -> None:
    """A set that comes in pages is complete with the last one."""
    for number in range(5):
        world.server.end(f"s{number}")
    for known in (0, 2, 4):
        assert len(world.followed) == known
        assert world.followed.wait() == 0
        with pytest.raises(NotYet):
            world.followed.has_ended("s4")
        world.ask(page=2)
    assert world.followed.wait() == bounds.FEED_WAIT
    assert world.followed.has_ended("s4")
    assert not world.followed.has_ended("s5")


def test_cut_off_it_refuses_after_the_bound_and_recovers(world: World) -> None:
    world.server.end("gone")
    world.ask()
    world.pass_by(FEED_STALE)
    assert not world.followed.has_ended("alive")
    assert world.followed.state() == "following"
    world.pass_by(1)
    with pytest.raises(StoreUnavailable):
        world.followed.has_ended("alive")
    assert world.followed.has_ended("gone")  # nobody has to be asked for that
    assert (world.followed.state(), world.followed.is_usable()) == ("cut off", False)
    world.ask()
    assert not world.followed.has_ended("alive")


def test_open_it_accepts_but_not_before_it_began() -> None:
    world = World(closed=False)
    with pytest.raises(NotYet):
        world.followed.has_ended("alive")
    world.server.end("gone")
    world.ask()
    world.pass_by(HOUR)
    assert not world.followed.has_ended("alive")
    assert world.followed.has_ended("gone")
    assert (world.followed.state(), world.followed.is_usable()) == ("cut off", True)


def test_old_news_is_old_whenever_it_arrives(world: World) -> None:
    """Half a minute in a buffer: it brings what it brings, and proves nothing."""
    world.ask()
    world.ask(back=FEED_STALE)
    assert world.followed.age() == FEED_STALE
    assert world.followed.wait() == bounds.FEED_RETRY  # a newer one is wanted soon
    world.server.end("late")
    world.ask(back=FEED_STALE + 1)
    assert world.followed.has_ended("late")
    with pytest.raises(StoreUnavailable):
        world.followed.has_ended("alive")


def test_a_first_answer_counts_from_when_it_was_asked_for(world: World) -> None:
    world.ask(there=1 * SECOND, back=2 * SECOND)
    assert world.followed.age() == 3 * SECOND
    world.ask()  # and a quicker one tells better
    assert world.followed.age() == 0


def test_an_answer_that_waited_for_news_is_as_new_as_it_says(world: World) -> None:
    world.ask()
    world.ask(there=bounds.FEED_WAIT)
    assert world.followed.age() == 0


def test_a_server_that_is_behind_itself_is_as_old_as_it_says(world: World) -> None:
    world.server.complete_as_of = world.server.now - FEED_STALE
    world.ask()
    assert not world.followed.has_ended("alive")
    world.pass_by(1)
    with pytest.raises(StoreUnavailable):
        world.followed.has_ended("alive")


def test_another_process_is_read_from_its_beginning_and_nothing_comes_back(
    world: World,
) -> None:
    """A restart, or another worker behind the same address; their clocks differ."""
    world.server.end("gone")
    world.ask()
    world.server = Server(TWO, now=3)
    world.server.end("gone too")
    world.ask(back=1 * SECOND)
    assert world.followed.age() == 1 * SECOND
    assert world.followed.has_ended("gone")
    assert world.followed.has_ended("gone too")
    # An answer that is all there is, or nothing: asked for less often.
    assert world.followed.pause() == limits.FEED_POLL
    world.ask()
    assert world.followed.pause() == limits.FEED_POLL
    world.server.end("new")
    world.ask()
    assert world.followed.pause() == bounds.FEED_PAUSE


def test_processes_that_answer_in_turn_are_each_read_to_the_end(world: World) -> None:
    """A place is kept for each: a long feed does not begin again at every answer."""
    one, two = world.server, Server(TWO)
    for number in range(5):
        one.end(f"one {number}")
        two.end(f"two {number}")
    for turn in range(6):
        world.server = two if turn % 2 else one
        world.ask(page=2)
    assert len(world.followed) == 10
    assert world.followed.state() == "following"


def test_it_cannot_go_on_where_it_never_was(world: World) -> None:
    world.ask()
    elsewhere = Server(TWO)
    answer = msgspec.structs.replace(elsewhere.answer(""), complete=False)
    with pytest.raises(Malformed):
        world.followed.take(answer, sent=0, received=0)
    assert world.followed.cursors.startswith(ONE)


@pytest.mark.parametrize("drift", [-0.001, 0.001])
def test_clocks_that_drift_neither_blind_it_nor_make_it_trust(
    world: World, drift: float
) -> None:
    """A second in a quarter of an hour, for days: no answer is ever from the future."""
    world.ask()
    for _ in range(30_000):
        world.pass_by(bounds.FEED_WAIT, drift)
        world.ask()
        age = world.followed.age()
        assert age is not None
        assert 0 <= age < FEED_STALE
    assert not world.followed.has_ended("alive")


def test_a_machine_that_slept_does_not_trust_what_it_knew(world: World) -> None:
    """Its clock stood still for an hour; the server's went on."""
    world.ask()
    world.server.now += HOUR
    world.ask()
    age = world.followed.age()
    assert age is not None
    assert age >= 0
    world.pass_by(FEED_STALE + 1)
    with pytest.raises(StoreUnavailable):
        world.followed.has_ended("alive")


def test_after_a_failure_it_asks_for_an_answer_at_once(world: World) -> None:
    world.ask()
    world.followed.failed("cut")
    assert (world.followed.wait(), world.followed.error) == (0, "cut")
    world.ask()
    assert world.followed.error is None


def test_memory_is_bounded_whatever_ends_in_one_life_of_a_token(world: World) -> None:
    """2,000 logouts a minute for 50 minutes, and each is kept for seven."""
    most = 0
    for minute in range(50):
        now = world.clock.now
        world.server.entries = [
            EndedSession(f"{minute}-{number}", now, now + 7 * MINUTE)
            for number in range(2_000)
        ]
        world.server.incarnation = f"{minute:032}"
        world.ask(page=2_000)
        most = max(most, len(world.followed))
        world.pass_by(MINUTE)
    assert most <= 8 * 2_000
    world.server.entries = []
    world.pass_by(7 * MINUTE)
    world.ask()
    assert len(world.followed) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"cursor": ""},
        {"cursor": "x" * 65},
        {"cursor": 1},
        {"entries": None},
        {"entries": [{"sid": "s"}]},
        {"entries": [{"sid": "s", "at": 1.5, "until": 2}]},
        {"more": 0},
        {"now": "1"},
        {"completeAsOf": 2},
        {"completeAsOf": ...},
    ],
)
def test_what_is_no_answer_is_refused(changes: dict[str, Any]) -> None:
    good = {
        "cursor": f"{ONE}.0",
        "entries": [],
        "more": False,
        "complete": True,
        "now": 1,
        "completeAsOf": 1,
    }
    assert read_answer(msgspec.json.encode(good)).complete
    odd = {name: value for name, value in (good | changes).items() if value is not ...}
    with pytest.raises(Malformed):
        read_answer(msgspec.json.encode(odd))
