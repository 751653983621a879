"""Counting attempts by GCRA: pure arithmetic over one instant per key.

It counts failed sign-ins, failures of clients, retries of a refresh, and audit events
that any caller can cause. The instant is when the counter has run down again. Each
attempt moves it one interval forward. An attempt that would move it more than `burst`
intervals ahead of now has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from watchword.core import limits


class Cost(msgspec.Struct, frozen=True):
    """A counter's rate: `burst` attempts at once, then one per `interval` (ms)."""

    key: str
    burst: int
    interval: int


def take(
    counters: Mapping[str, int | None], costs: Sequence[Cost], now: int
) -> tuple[dict[str, int], int]:
    """The new counters and 0; or no counters and how long to wait, in milliseconds.

    One attempt counts against every cost, or against none. A counter further ahead than
    a full one was written by another clock. It is forgotten, so that a clock set back
    does not lock anyone out; but not where two servers differ by no more than usual, or
    a caller could empty it at the one that is behind.
    """
    taken: dict[str, int] = {}
    wait = 0
    for cost in costs:
        full = now + cost.burst * cost.interval
        highest = full + limits.CLOCK_SKEW
        counter = counters.get(cost.key) or 0
        taken[cost.key] = (counter if now < counter <= highest else now) + cost.interval
        wait = max(wait, taken[cost.key] - full)
    return ({}, wait) if wait > 0 else (taken, 0)


def give_back(counter: int, cost: Cost) -> int:
    """The counter without one attempt that was counted in it."""
    return counter - cost.interval
