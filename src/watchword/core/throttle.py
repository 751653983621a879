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
    """The counters after one attempt against all, and 0; or none and the wait (ms)."""
    taken: dict[str, int] = {}
    wait = 0
    for cost in costs:
        counter = max(counters.get(cost.key) or 0, now)
        # No honest counter is further ahead: a clock set back locks nobody out.
        counter = min(counter, now + cost.burst * cost.interval)
        runs_down = counter + cost.interval
        wait = max(wait, runs_down - now - cost.burst * cost.interval)
        taken[cost.key] = runs_down
    return ({}, wait) if wait > 0 else (taken, 0)


def give_back(counter: int, cost: Cost) -> int:
    """The counter as if one attempt had not been."""
    return counter - cost.interval
