"""Counting failed sign-ins by GCRA: pure arithmetic over one instant per key.

The instant is when the counter has run down again. Each attempt moves it one interval
on; an attempt that would move it further than `burst` intervals ahead has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec


class Cost(msgspec.Struct, frozen=True):
    """A counter's rate: `burst` attempts at once, then one per `interval` (ms)."""

    key: str
    burst: int
    interval: int


def take(
    counters: Mapping[str, int | None], costs: Sequence[Cost], now: int
) -> tuple[dict[str, int], int]:
    """The counters after one attempt against all, and 0; or nothing and the wait (ms).

    A counter further ahead than full is of another clock: it is forgotten, so that a
    clock set back locks nobody out.
    """
    taken: dict[str, int] = {}
    wait = 0
    for cost in costs:
        full = now + cost.burst * cost.interval
        counter = counters.get(cost.key) or 0
        taken[cost.key] = (counter if now < counter <= full else now) + cost.interval
        wait = max(wait, taken[cost.key] - full)
    return ({}, wait) if wait > 0 else (taken, 0)


def give_back(counter: int, cost: Cost) -> int:
    """The counter as if one attempt had not been."""
    return counter - cost.interval
