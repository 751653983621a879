"""Contract: a store and the memory store, the reference, get the same calls."""

# ruff: noqa: S101 - a test suite: assertions are the point

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine, initialize

from watchword.ports import Stores
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
        self.pair: list[Stores] = []

    @initialize()
    def open(self) -> None:
        """Open the reference, then the store."""
        for place in (Place("memory:"), self.place):
            self.pair.append(self.runner.run(place.open(place.url)))

    def teardown(self) -> None:
        """Close both stores."""
        for stores in self.pair:
            self.runner.run(stores.backend.close())
        self.runner.close()

    def each(self, verb: Callable[[Stores], Awaitable[Result]]) -> list[Result]:
        """The answers of the reference and of the store, in that order."""

        async def call(stores: Stores) -> Result:
            return await verb(stores)

        # Not by `run`, which sets and takes back a handler of Ctrl-C: that costs more
        # than most calls.
        loop = self.runner.get_loop()
        return [loop.run_until_complete(call(stores)) for stores in self.pair]

    def same(self, verb: Callable[[Stores], Awaitable[Result]]) -> Result:
        """The answer of both, which must be equal."""
        wanted, found = self.each(verb)
        assert found == wanted
        return wanted
