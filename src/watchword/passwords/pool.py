"""A bounded queue for a few low-priority threads, fair between addresses.

Jobs are taken round robin over the addresses that have jobs waiting, so an address that
sends a flood delays only itself. A job that does not fit is refused at once: with a
queue without a bound every answer would come too late. Nothing here knows what a job
does.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from watchword.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# In a storm of sign-ins, refreshes keep 99 % of their rate beside threads of this
# niceness and 32 % beside ordinary ones.
NICENESS: Final = 19


class FairPool:
    """Runs jobs on ``workers`` threads; at most ``queue_limit`` of them wait.

    For each job the executor gets one turn that is not tied to that job. Which job a
    turn runs is decided when the turn comes. The executor joins its threads when the
    interpreter exits.
    """

    def __init__(self, workers: int, queue_limit: int) -> None:
        self._lock = threading.Lock()
        self._waiting = _FairQueue(queue_limit)
        self._closed = False
        self._threads = ThreadPoolExecutor(workers, "watchword-hash", _lower_priority)

    def submit(self, address: str, work: Callable[[], T]) -> Future[T]:
        """Queue ``work`` and return the future of its result.

        To cancel the future takes the job out of the queue. Raises Overloaded when the
        queue, or the half of it that one address may fill, is full.
        """
        job = _Job(address, work)
        with self._lock:
            if self._closed:
                raise Overloaded(retry_after=1)
            self._waiting.add(job)
            self._threads.submit(self._take_turn)
        job.answer.add_done_callback(lambda _: self._forget(job))
        return job.answer

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._waiting.size

    def most_waiting(self) -> int:
        """How many have waited at once since this was asked last."""
        with self._lock:
            most, self._waiting.most = self._waiting.most, self._waiting.size
        return most

    def close(self) -> None:
        """Refuse waiting and new jobs; return when the running ones are done."""
        with self._lock:
            self._closed = True
            refused = self._waiting.drain()
        for job in refused:
            job.refuse()
        self._threads.shutdown()

    def _take_turn(self) -> None:
        with self._lock:
            job = self._waiting.take()
        # None where a job was cancelled while it waited: then there is a turn too many.
        if job is not None:
            job.run()

    def _forget(self, job: _Job[Any]) -> None:
        # Of jobs that are done, only a cancelled one can still be in the queue. Its
        # place is free at once.
        if job.answer.cancelled():
            with self._lock:
                self._waiting.discard(job)


@dataclass(frozen=True, eq=False)
class _Job(Generic[T]):
    address: str
    work: Callable[[], T]
    answer: Future[T] = field(default_factory=Future)

    def run(self) -> None:
        if not self.answer.set_running_or_notify_cancel():
            return
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001 - raised in the waiting caller
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)

    def refuse(self) -> None:
        if self.answer.set_running_or_notify_cancel():
            self.answer.set_exception(Overloaded(retry_after=1))


class _FairQueue:
    """The waiting jobs by address. The address served longest ago comes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._share = max(1, limit // 2)
        self.size = self.most = 0
        self._rounds: OrderedDict[str, deque[_Job[Any]]] = OrderedDict()

    def add(self, job: _Job[Any]) -> None:
        mine = len(self._rounds.get(job.address, ()))
        if self.size >= self._limit or mine >= self._share:
            raise Overloaded(retry_after=1)
        self._rounds.setdefault(job.address, deque()).append(job)
        self.size += 1
        self.most = max(self.most, self.size)

    def take(self) -> _Job[Any] | None:
        if not self._rounds:
            return None
        address, jobs = self._rounds.popitem(last=False)
        job = jobs.popleft()
        self.size -= 1
        if jobs:
            self._rounds[address] = jobs
        return job

    def discard(self, job: _Job[Any]) -> None:
        jobs = self._rounds.get(job.address, deque())
        with suppress(ValueError):  # a turn has taken the job already
            jobs.remove(job)
            self.size -= 1
        if not jobs:
            self._rounds.pop(job.address, None)

    def drain(self) -> list[_Job[Any]]:
        jobs = [job for lane in self._rounds.values() for job in lane]
        self._rounds.clear()
        self.size = 0
        return jobs


def _lower_priority() -> None:
    # Only Linux has a niceness per thread. Elsewhere the id could be that of a process.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
