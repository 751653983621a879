"""Contract: a store and the memory store, the reference, get the same calls."""

# ruff: noqa: S101 - a test suite: assertions are the point

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize

from watchword.ports import Store
from watchword.testing.fakes import ManualClock
from watchword.testing.store_contract.backend import Place

Result = TypeVar("Result")


class Pair(RuleBasedStateMachine):
    """Two stores, one clock, the same calls."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.stores: list[Store] = []

    @initialize()
    def open(self) -> None:
        """Open the reference, then the store."""
        for place in (Place("memory:"), self.place):
            self.stores.append(self.runner.run(place.open(place.url)))

    def teardown(self) -> None:
        """Close both stores."""
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()

    def each(self, verb: Callable[[Store], Awaitable[Result]]) -> list[Result]:
        """The answers of the reference and of the store, in that order."""

        async def call(store: Store) -> Result:
            return await verb(store)

        return [self.runner.run(call(store)) for store in self.stores]

    def same(self, verb: Callable[[Store], Awaitable[Result]]) -> Result:
        """The answer of both, which must be equal."""
        wanted, found = self.each(verb)
        assert found == wanted
        return wanted
