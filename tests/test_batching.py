"""Group commit: who is in which batch, and what each of them is told."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import pytest

from watchword import batching
from watchword.batching import MAX_GATHERING, QUIET_TURNS, SHARE_MIN, UNDER_WAY, Batcher
from watchword.errors import Overloaded, StoreUnavailable

Answers = Sequence[str | Exception]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What belongs together comes within a few turns, however slow this machine is."""
    monkeypatch.setattr(batching, "MAX_GATHERING", 3600)


class Work:
    """A store that finishes batches when the test says so, in the order it says."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.under_way: deque[asyncio.Future[Answers | None]] = deque()

    async def __call__(self, items: Sequence[str]) -> Answers:
        self.begun.append(list(items))
        done: asyncio.Future[Answers | None] = asyncio.Future()
        self.under_way.append(done)
        answers = await done
        return [item.upper() for item in items] if answers is None else answers

    async def finish(self, *, last: bool = False) -> None:
        done = self.under_way.pop() if last else self.under_way.popleft()
        done.set_result(None)
        await settled()


async def settled() -> None:
    """As many turns of the loop as a batch needs to begin, and some more."""
    for _ in range(2 * QUIET_TURNS + 4):
        await asyncio.sleep(0)


Submitted = asyncio.Future[str]


async def submitted(
    batcher: Batcher[str, str], *items: str, key: str | None = None
) -> list[Submitted]:
    """Those items on their way, each with its own key unless one is given."""
    tasks = [batcher.submit((key or item).encode(), item) for item in items]
    await settled()
    return tasks


async def test_what_comes_together_is_one_batch() -> None:
    """Arrivals of the same moment share a batch, and each gets its own outcome."""
    work = Work()
    tasks = await submitted(Batcher(work), "a", "b", "c")
    assert work.begun == [["a", "b", "c"]]
    await work.finish()
    assert await asyncio.gather(*tasks) == ["A", "B", "C"]


async def test_two_lanes_part_what_comes_together() -> None:
    """Half is judged while the other half is at the store; a few are not parted."""
    work = Work()
    many = [str(number) for number in range(2 * SHARE_MIN + 1)]
    tasks = await submitted(Batcher(work, parted=True), *many)
    assert work.begun == [many[: SHARE_MIN + 1], many[SHARE_MIN + 1 :]]
    few = many[:SHARE_MIN]
    tasks += await submitted(Batcher(work, parted=True), *few)
    assert work.begun[2:] == [few]
    for _ in range(3):
        await work.finish()
    assert await asyncio.gather(*tasks) == many + few


async def test_arrivals_in_one_turn_after_the_other_share_the_batch() -> None:
    """A batch waits while items come, and starts without a timer."""
    work = Work()
    batcher = Batcher(work)
    tasks = []
    items = [str(number) for number in range(3 * QUIET_TURNS)]
    for item in items:
        tasks.append(batcher.submit(item.encode(), item))
        await asyncio.sleep(0)
    await settled()
    assert work.begun == [items]
    await work.finish()
    assert await asyncio.gather(*tasks) == items


async def test_a_batch_starts_in_time_although_items_keep_coming(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A turn may take as long as a flood likes: a batch does not wait for many."""
    monkeypatch.setattr(batching, "MAX_GATHERING", MAX_GATHERING)
    work = Work()
    loop = asyncio.get_running_loop()
    batcher = Batcher(work)
    tasks: list[asyncio.Future[str]] = []

    def flood() -> None:
        tasks.append(batcher.submit(b"%d" % len(tasks), "a"))
        time.sleep(2 * MAX_GATHERING)
        if not work.begun:
            loop.call_soon(flood)

    loop.call_soon(flood)
    while not work.begun:  # noqa: ASYNC110 - turns are what is counted
        await asyncio.sleep(0)
    assert len(tasks) <= 4
    while work.under_way:
        await work.finish()
    assert set(await asyncio.gather(*tasks)) == {"A"}


@pytest.mark.parametrize("answers", [[], ["A"], ["A", "B", "C"]])
async def test_a_wrong_number_of_outcomes_is_a_fault_of_all(answers: list[str]) -> None:
    """And no caller waits for ever, nor is told what is another's."""
    work = Work()
    batcher = Batcher(work)
    tasks = await submitted(batcher, "a", "b")
    work.under_way.popleft().set_result(answers)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, RuntimeError)
    (again,) = await submitted(batcher, "a")
    await work.finish()
    assert await again == "A"


async def test_the_callers_of_a_cancelled_batch_are_told() -> None:
    """As at the end of the loop, which cancels every task in any order."""
    work = Work()
    batcher = Batcher(work)
    tasks = await submitted(batcher, "a", "b")
    (running,) = batcher._running
    running.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, StoreUnavailable)


async def test_arrivals_during_batches_form_the_next() -> None:
    """While as many batches are under way as may be, the next one gathers."""
    work = Work()
    batcher = Batcher(work)
    tasks = []
    for item in "abcde":
        tasks += await submitted(batcher, item)
    assert UNDER_WAY == 2
    assert work.begun == [["a"], ["b"]]
    await work.finish()
    assert work.begun == [["a"], ["b"], ["c", "d", "e"]]
    await work.finish()
    await work.finish()
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D", "E"]


async def test_key_is_in_one_batch_at_most() -> None:
    """Work on one key waits until that key's work before it is done."""
    work = Work()
    batcher = Batcher(work)
    same = await submitted(batcher, "one", "two", "three", key="k")
    other = await submitted(batcher, "x")
    assert work.begun == [["one"], ["x"]]
    await work.finish(last=True)
    assert work.begun == [["one"], ["x"]]  # the other batch freed nothing of k
    await work.finish()
    assert work.begun[2:] == [["two"]]
    await work.finish()
    await work.finish()
    assert work.begun[2:] == [["two"], ["three"]]
    assert await asyncio.gather(*same, *other) == ["ONE", "TWO", "THREE", "X"]


async def test_one_busy_key_holds_nobody_else_up() -> None:
    """Keys that are free go ahead of one whose work is under way."""
    work = Work()
    batcher = Batcher(work)
    first = await submitted(batcher, "k1", key="k")
    waiting = await submitted(batcher, "k2", key="k")
    others = await submitted(batcher, "a", "b")
    assert work.begun == [["k1"], ["a", "b"]]
    for _ in range(3):
        await work.finish()
    assert await asyncio.gather(*first, *waiting, *others) == ["K1", "K2", "A", "B"]


async def test_batch_has_a_bound() -> None:
    """More than `batch_max` are split, in the order in which they came."""
    work = Work()
    tasks = await submitted(Batcher(work, batch_max=2), "a", "b", "c", "d", "e")
    while work.under_way:
        await work.finish()
    assert work.begun == [["a", "b"], ["c", "d"], ["e"]]
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D", "E"]


async def test_full_queue_is_told_at_once() -> None:
    """Beyond `queue_max` waiting, a caller gets Overloaded, and those there go on."""
    work = Work()
    batcher = Batcher(work, queue_max=2)
    running = await submitted(batcher, "a")
    running += await submitted(batcher, "b")
    waiting = await submitted(batcher, "c", "d")
    with pytest.raises(Overloaded):
        await batcher.submit(b"e", "e")
    while work.under_way:
        await work.finish()
    assert await asyncio.gather(*running, *waiting) == ["A", "B", "C", "D"]
    again = await submitted(batcher, "f")
    await work.finish()
    assert await again[0] == "F"


async def test_one_key_has_its_share_of_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond its share a key's callers are shed, others are not, and it recovers."""
    monkeypatch.setattr(batching, "QUEUE_PER_KEY", 2)
    work = Work()
    batcher = Batcher(work)
    tasks = await submitted(batcher, "one", "two", key="k")
    with pytest.raises(Overloaded):
        await batcher.submit(b"k", "three")
    tasks += await submitted(batcher, "x")
    while work.under_way:
        await work.finish()
    assert await asyncio.gather(*tasks) == ["ONE", "TWO", "X"]
    (again,) = await submitted(batcher, "four", key="k")
    await work.finish()
    assert await again == "FOUR"


async def test_cancelled_waiter_is_skipped() -> None:
    """Whoever goes away before its batch began is not worked for."""
    work = Work()
    batcher = Batcher(work)
    running = await submitted(batcher, "a")
    running += await submitted(batcher, "b")
    gone, stays = await submitted(batcher, "gone", "stays")
    gone.cancel()
    await work.finish()
    assert work.begun[2:] == [["stays"]]
    while work.under_way:
        await work.finish()
    assert await asyncio.gather(*running, stays) == ["A", "B", "STAYS"]
    assert gone.cancelled()


async def test_cancelled_while_under_way_disturbs_nobody() -> None:
    """The batch of one who went away finishes for the others, and frees its key."""
    work = Work()
    batcher = Batcher(work)
    gone, stays = await submitted(batcher, "gone", "stays")
    gone.cancel()
    again = await submitted(batcher, "again", key="gone")
    assert work.begun == [["gone", "stays"]]
    await work.finish()
    assert await stays == "STAYS"
    assert work.begun[1:] == [["again"]]
    await work.finish()
    assert await again[0] == "AGAIN"


async def test_all_gone_begins_nothing() -> None:
    """A batch of which nobody is left is not run, and the next one is."""
    work = Work()
    batcher = Batcher(work)
    gone = batcher.submit(b"a", "a")
    await asyncio.sleep(0)
    gone.cancel()
    await settled()
    assert work.begun == []
    (stays,) = await submitted(batcher, "b")
    await work.finish()
    assert await stays == "B"


async def test_outcome_that_is_an_exception_is_raised_to_its_caller() -> None:
    """One item's failure is its own."""
    work = Work()
    good, bad = await submitted(Batcher(work), "good", "bad")
    work.under_way.popleft().set_result(["GOOD", Overloaded()])
    await settled()
    assert await good == "GOOD"
    with pytest.raises(Overloaded):
        await bad


async def test_exception_of_work_reaches_all() -> None:
    """When the work itself fails, everybody in that batch learns of it, only they."""
    work = Work()
    batcher = Batcher(work)
    tasks = await submitted(batcher, "a", "b")
    others = await submitted(batcher, "c")
    work.under_way.popleft().set_exception(StoreUnavailable())
    await settled()
    for task in tasks:
        with pytest.raises(StoreUnavailable):
            await task
    await work.finish()
    assert await others[0] == "C"
    again = await submitted(batcher, "a")
    await work.finish()
    assert await again[0] == "A"
