"""The one thread that writes: all waiting jobs become one transaction with one fsync.

A job is a function of the connection. Jobs that came together are committed together.
If one of them fails, all are rolled back and repeated one by one, so that only the
failing one fails. Hence a job MUST be safe to run again after a rollback.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import apsw

from watchword.core.limits import QUEUE_MAX
from watchword.errors import Overloaded, StoreUnavailable, WatchwordError

Result = TypeVar("Result")
Job = Callable[[apsw.Connection], Any]
_Entry = tuple[Job, "asyncio.Future[Any]"]

# Places in the queue for revocations only: they find room when other jobs are refused.
RESERVED: Final = QUEUE_MAX // 8
_STOP: Final = None


class Writer:
    """Owns the writing connection. Belongs to the event loop in which it was made."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        # What comes in one turn of the event loop is handed over together, at its end:
        # otherwise the first job of many would be a transaction of its own.
        self._gathered: list[_Entry] = []
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite-writer")
        self._thread.daemon = True
        self._thread.start()

    async def do(
        self, job: Callable[[apsw.Connection], Result], *, urgent: bool = False
    ) -> Result:
        """The job's result, once its transaction is on the disk.

        Raises StoreUnavailable, Overloaded, or what the job raised. Nothing was written
        then.
        """
        if self._closed:
            raise StoreUnavailable
        waiting = self._queue.qsize() + len(self._gathered)
        if waiting >= QUEUE_MAX - (0 if urgent else RESERVED):
            raise Overloaded
        future: asyncio.Future[Result] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append((job, future))
        return await future

    def _hand_over(self) -> None:
        for entry in self._gathered:
            self._queue.put(entry)
        self._gathered.clear()

    async def close(self) -> None:
        """Commit what was accepted, then end the thread and the connection."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(_STOP)
            await asyncio.to_thread(self._thread.join)
            self._connection.close()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            entries = [self._queue.get()]
            while not self._queue.empty():
                entries.append(self._queue.get())
            stopping = _STOP in entries
            work = [entry for entry in entries if entry is not _STOP]
            outcomes = self._commit([job for job, _ in work])
            # The loop is woken only once for the whole batch.
            self._loop.call_soon_threadsafe(
                _deliver, [future for _, future in work], outcomes
            )

    def _commit(self, jobs: list[Job]) -> list[Any]:
        if not jobs:
            return []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            # For example the file was locked for longer than the busy timeout. No job
            # is the cause, and to repeat them one by one would wait as long for each.
            self._roll_back()
            return [_as_ours(error) for _ in jobs]
        try:
            outcomes = [job(self._connection) for job in jobs]
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - raised in the job's caller
            self._roll_back()
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self._commit([job])]
            return [_as_ours(error)]
        return outcomes

    def _roll_back(self) -> None:
        # A full disk or an I/O error may have ended the transaction already. If it
        # cannot be ended, the next BEGIN fails and comes here again. So the thread goes
        # on, and every waiting caller gets an answer.
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _deliver(futures: list[asyncio.Future[Any]], outcomes: list[Any]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():  # the caller was cancelled, its job is committed
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _as_ours(error: Exception) -> Exception:
    if isinstance(error, WatchwordError):
        return error
    unavailable = StoreUnavailable()
    unavailable.__cause__ = error
    return unavailable
