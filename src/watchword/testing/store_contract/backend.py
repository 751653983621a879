"""How the suite opens stores: one, or several at once on the same URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import pytest

from watchword.ports import Stores
from watchword.stores import open_stores
from watchword.testing.fakes import SeededEntropy

Result = TypeVar("Result")
Job = Callable[[Stores], Awaitable[Result]]

# Seconds within which all threads must have opened the store, on a busy machine. Later
# the test counts as hung.
_OPEN_TIMEOUT: Final = 300


class Place(msgspec.Struct, frozen=True):
    """Where a store is: its URL, and that of its sessions if those are elsewhere."""

    url: str
    sessions: str | None = None

    async def open(self, seed: str) -> Stores:
        """Open the store once more. `seed` is for its randomness."""
        return await open_stores(self.url, SeededEntropy(seed), self.sessions)


class Backend(msgspec.Struct, frozen=True):
    """One line of the table: the URL of a new, empty store, given an empty folder.

    `sessions` is the URL of the store that keeps sessions, if that is another one.
    `histories` is how many random histories are compared with the memory store.

    With `persists=False`, opening the URL twice gives two stores. So parallel callers
    share one, and a store is not opened again after it was closed.
    """

    url: Callable[[Path], str]
    persists: bool = True
    sessions: Callable[[Path], str] | None = None
    histories: int = 30

    def place(self, folder: Path) -> Place:
        """A new, empty store."""
        return Place(self.url(folder), self.sessions and self.sessions(folder))


class OnAStore:
    """The fixtures that all groups of tests share. `backend` comes from the table."""

    @pytest.fixture
    def place(self, backend: Backend, tmp_path: Path) -> Place:
        """Where this test's store is."""
        return backend.place(tmp_path)

    @pytest.fixture
    async def stores(self, place: Place) -> AsyncIterator[Stores]:
        """A new, empty store."""
        stores = await place.open("store")
        try:
            yield stores
        finally:
            await stores.backend.close()

    @pytest.fixture
    def crowd(self, backend: Backend, place: Place, stores: Stores) -> Crowd:
        """Several callers of that store at once."""
        return Crowd(stores, place if backend.persists else None)


class Crowd:
    """Callers that start together, each with a store, a thread and a loop of its own.

    For a store that cannot be opened twice they are tasks of one loop.
    """

    def __init__(self, stores: Stores, place: Place | None) -> None:
        self._stores = stores
        self._place = place

    async def run(self, jobs: Sequence[Job[Result]]) -> list[Result]:
        """Run the jobs. Returns their results in order; raises the first failure."""
        if self._place is None:
            return await asyncio.gather(*(_alone(job, self._stores) for job in jobs))
        start = threading.Barrier(len(jobs))
        return await asyncio.gather(
            *(asyncio.to_thread(_in_thread, job, self._place, start) for job in jobs)
        )


async def _alone(job: Job[Result], stores: Stores) -> Result:
    return await job(stores)


def _in_thread(job: Job[Result], place: Place, start: threading.Barrier) -> Result:
    async def main() -> Result:
        stores = await place.open(threading.current_thread().name)
        try:
            start.wait(_OPEN_TIMEOUT)
            return await job(stores)
        finally:
            await stores.backend.close()

    return asyncio.run(main())
