"""Group commit: items that arrive while a batch is at the store make the next batch.

There are no timers. One fsync, or one exchange, serves a whole batch, and an answer
leaves only after its batch is durable. Two batches may be under way: while one waits
for the disk, the next is judged and signed. A key is in one of them at most and its
other items wait, so that two pieces of work on one session never run at the same time.

Clients that are answered together come back together. They would be one batch for ever,
and while it waits for the store no other item would be there to work on. Where the
store is far enough away for that to matter (`SessionStore.is_remote`), the items
that came together are split into two batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from watchword.core.limits import BATCH_MAX, QUEUE_MAX, QUEUE_PER_KEY
from watchword.errors import Overloaded, StoreUnavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
_Entry = tuple[bytes, Item, "asyncio.Future[Outcome]"]

UNDER_WAY: Final = 2
# A batch starts after so many turns of the event loop without a new item: it takes two
# turns from the bytes of a request to its item. Measured with 32 connections: batches
# are as large as if 16 turns were waited for, whether items come or not.
QUIET_TURNS: Final = 4
# Seconds after which a batch starts, although items keep coming or turns take long.
MAX_GATHERING: Final = 0.005
# Fewer items are not split, because each batch is one more exchange. Measured on
# PostgreSQL with 32 connections: splitting gives a sixth more refreshes, and it makes
# no difference whether from 8 or from 16 items on.
SHARE_MIN: Final = 8


class Batcher(Generic[Item, Outcome]):
    """Runs `work` over the items that came together.

    `work` returns one outcome per item, in order. An outcome that is an exception is
    raised in that item's caller. If `work` itself raises, every caller of the batch
    gets the exception. They get a RuntimeError where the number of outcomes is wrong,
    and StoreUnavailable where the work was cancelled. With `parted`, a batch is split
    in two.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]],
        *,
        parted: bool = False,
        queue_max: int = QUEUE_MAX,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._work = work
        self._lanes = UNDER_WAY if parted else 1
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._waiting: list[_Entry[Item, Outcome]] = []
        self._pending: dict[bytes, int] = {}
        self._busy: set[bytes] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._quiet_turns = 0

    def submit(self, key: bytes, item: Item) -> asyncio.Future[Outcome]:
        """A future of the outcome. Raises Overloaded when the queue is full."""
        pending = self._pending.get(key, 0)
        if len(self._waiting) >= self._queue_max or pending >= QUEUE_PER_KEY:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((key, item, future))
        self._pending[key] = pending + 1
        self._quiet_turns = 0
        self._schedule(loop)
        return future

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and len(self._running) < UNDER_WAY:
            self._scheduled = True
            self._quiet_turns = 0
            loop.call_soon(self._gather, loop, loop.time() + MAX_GATHERING)

    def _gather(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Start a batch once no more items come, or it is `until`."""
        self._quiet_turns += 1
        if self._quiet_turns < QUIET_TURNS and loop.time() < until:
            loop.call_soon(self._gather, loop, until)
        else:
            self._start()

    def _start(self) -> None:
        self._scheduled = False
        begun = True
        while begun and self._waiting and len(self._running) < UNDER_WAY:
            free = max(1, self._lanes - len(self._running))
            share = max(SHARE_MIN, -(-len(self._waiting) // free))
            begun = self._begin(min(share, self._batch_max))

    def _begin(self, most: int) -> bool:
        """Start a batch of the first `most` items with keys that are not under way.

        Returns whether there were any.
        """
        batch: list[_Entry[Item, Outcome]] = []
        rest: list[_Entry[Item, Outcome]] = []
        for entry in self._waiting:
            key, _, future = entry
            if future.done():  # the caller was cancelled before the work began
                self._forget(key)
            elif key in self._busy or len(batch) == most:
                rest.append(entry)
            else:
                self._busy.add(key)
                batch.append(entry)
        self._waiting = rest
        if batch:
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._finished)
        return bool(batch)

    async def _run(self, batch: list[_Entry[Item, Outcome]]) -> None:
        outcomes: Sequence[Outcome | Exception] = [StoreUnavailable()] * len(batch)
        try:
            found = await self._work([item for _, item, _ in batch])
            if len(found) != len(batch):
                wrong = f"{len(found)} outcomes of {len(batch)} items"
                raise RuntimeError(wrong)  # noqa: TRY301 - raised in all callers too
            outcomes = found
        except Exception as error:  # noqa: BLE001 - raised in the waiting callers
            outcomes = [error] * len(batch)
        # Also when this task is cancelled, at the end of the loop: the callers must get
        # an outcome then too.
        finally:
            for (key, _, future), outcome in zip(batch, outcomes, strict=True):
                self._busy.discard(key)
                self._forget(key)
                if future.done():  # the caller was cancelled
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _forget(self, key: bytes) -> None:
        """Count one item of that key less."""
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting:
            self._schedule(task.get_loop())
