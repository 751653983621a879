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

# Threads that open within this many seconds are beside one another; else a test hangs.
_PATIENCE: Final = 30


class Backend(msgspec.Struct, frozen=True):
    """One line of the table: the URL of a new, empty store, given an empty folder.

    A store that does not persist says so: what is opened twice is then two stores, so
    parallel callers share one, and nothing is asked of it after it was closed.
    """

    url: Callable[[Path], str]
    persists: bool = True


class OnAStore:
    """What every group shares: the fixtures. `backend` comes from the table."""

    @pytest.fixture
    def url(self, backend: Backend, tmp_path: Path) -> str:
        """Where this test's store is."""
        return backend.url(tmp_path)

    @pytest.fixture
    async def store(self, url: str) -> AsyncIterator[Store]:
        """A new, empty store."""
        store = await open_store(url, SeededEntropy("store"))
        try:
            yield store
        finally:
            await store.close()

    @pytest.fixture
    def crowd(self, backend: Backend, url: str, store: Store) -> Crowd:
        """Several callers of that store at once."""
        return Crowd(store, url if backend.persists else None)


class Crowd:
    """Callers that start together, each with a store, a thread and a loop of its own.

    Where the store is not shared by its URL, they are tasks of one loop.
    """

    def __init__(self, store: Store, url: str | None) -> None:
        self._store = store
        self._url = url

    async def run(self, jobs: Sequence[Job[Result]]) -> list[Result]:
        """What each job returned, in their order. The first failure is raised."""
        if self._url is None:
            return await asyncio.gather(*(_alone(job, self._store) for job in jobs))
        start = threading.Barrier(len(jobs))
        return await asyncio.gather(
            *(asyncio.to_thread(_in_thread, job, self._url, start) for job in jobs)
        )


async def _alone(job: Job[Result], store: Store) -> Result:
    return await job(store)


def _in_thread(job: Job[Result], url: str, start: threading.Barrier) -> Result:
    async def main() -> Result:
        store = await open_store(url, SeededEntropy(threading.current_thread().name))
        try:
            start.wait(_PATIENCE)
            return await job(store)
        finally:
            await store.close()

    return asyncio.run(main())
