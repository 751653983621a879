"""How the suite gets at a store: one, or several at once on the same URL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import pytest

from watchword.ports import Store
from watchword.stores import open_store
from watchword.testing.stand_ins import SeededEntropy

Result = TypeVar("Result")
Job = Callable[[Store], Awaitable[Result]]

# Seconds for threads to open, on a busy machine; after that a test hangs.
_PATIENCE: Final = 300


class Place(msgspec.Struct, frozen=True):
    """Where a store is: its URL, and that of its sessions where they are elsewhere."""

    url: str
    sessions: str | None = None

    async def open(self, seed: str) -> Store:
        """One more caller of the store."""
        return await open_store(self.url, SeededEntropy(seed), self.sessions)


class Backend(msgspec.Struct, frozen=True):
    """One line of the table: the URL of a new, empty store, given an empty folder.

    `sessions` is the URL of the store that keeps sessions, where it is another one;
    `histories` how many random ones are compared with those of the memory store.

    A store that does not persist says so: what is opened twice is then two stores, so
    parallel callers share one, and nothing is asked of it after it was closed.
    """

    url: Callable[[Path], str]
    persists: bool = True
    sessions: Callable[[Path], str] | None = None
    histories: int = 30

    def place(self, folder: Path) -> Place:
        """A new, empty store."""
        return Place(self.url(folder), self.sessions and self.sessions(folder))


class OnAStore:
    """What every group shares: the fixtures. `backend` comes from the table."""

    @pytest.fixture
    def place(self, backend: Backend, tmp_path: Path) -> Place:
        """Where this test's store is."""
        return backend.place(tmp_path)

    @pytest.fixture
    async def store(self, place: Place) -> AsyncIterator[Store]:
        """A new, empty store."""
        store = await place.open("store")
        try:
            yield store
        finally:
            await store.close()

    @pytest.fixture
    def crowd(self, backend: Backend, place: Place, store: Store) -> Crowd:
        """Several callers of that store at once."""
        return Crowd(store, place if backend.persists else None)


class Crowd:
    """Callers that start together, each with a store, a thread and a loop of its own.

    Where the store is not shared by its place, they are tasks of one loop.
    """

    def __init__(self, store: Store, place: Place | None) -> None:
        self._store = store
        self._place = place

    async def run(self, jobs: Sequence[Job[Result]]) -> list[Result]:
        """What each job returned, in their order. The first failure is raised."""
        if self._place is None:
            return await asyncio.gather(*(_alone(job, self._store) for job in jobs))
        start = threading.Barrier(len(jobs))
        return await asyncio.gather(
            *(asyncio.to_thread(_in_thread, job, self._place, start) for job in jobs)
        )


async def _alone(job: Job[Result], store: Store) -> Result:
    return await job(store)


def _in_thread(job: Job[Result], place: Place, start: threading.Barrier) -> Result:
    async def main() -> Result:
        store = await place.open(threading.current_thread().name)
        try:
            start.wait(_PATIENCE)
            return await job(store)
        finally:
            await store.close()

    return asyncio.run(main())
