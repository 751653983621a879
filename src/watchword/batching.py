"""Group commit: while one batch is at the store, those that arrive make the next one.

No timers. One fsync, or one exchange, serves a whole batch, and an answer leaves only
after its batch is durable. A batch holds each key at most once; the rest wait for the
next, so that work on one session is never run against itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from watchword.core.limits import BATCH_MAX, QUEUE_MAX
from watchword.errors import Overloaded

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Batcher(Generic[Item, Outcome]):
    """Runs `work` over what has come together; at most one batch at a time.

    `work` returns one outcome per item, in order; an outcome that is an exception is
    raised to its caller. If `work` itself raises, everyone in that batch gets it.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]],
        *,
        queue_max: int = QUEUE_MAX,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._work = work
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._waiting: list[tuple[bytes, Item, asyncio.Future[Outcome]]] = []
        self._running: asyncio.Task[None] | None = None
        self._scheduled = False

    async def submit(self, key: bytes, item: Item) -> Outcome:
        """The outcome for this item. Raises Overloaded when the queue is full."""
        if len(self._waiting) >= self._queue_max:
            raise Overloaded
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((key, item, future))
        if self._running is None and not self._scheduled:
            # Two turns of the loop let every socket that is readable now be read and
            # parsed first: they share this batch instead of waiting for the next.
            self._scheduled = True
            loop.call_soon(loop.call_soon, self._start)
        return await future

    def _start(self) -> None:
        self._scheduled = False
        batch, rest, keys = [], [], set()
        for entry in self._waiting:
            if entry[2].done():  # the caller went away before anything was begun
                continue
            if entry[0] in keys or len(batch) == self._batch_max:
                rest.append(entry)
            else:
                keys.add(entry[0])
                batch.append(entry)
        self._waiting = rest
        if batch:
            self._running = asyncio.create_task(self._run(batch))

    async def _run(
        self, batch: list[tuple[bytes, Item, asyncio.Future[Outcome]]]
    ) -> None:
        try:
            outcomes = await self._work([item for _, item, _ in batch])
        except Exception as error:  # noqa: BLE001 - belongs to those who wait
            outcomes = [error] * len(batch)
        for (_, _, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._running = None
        if self._waiting:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._start)
