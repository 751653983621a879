"""Figures of each minute, for the charts of the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from watchword.core.session import Alive


class Stat(msgspec.Struct, frozen=True):
    """A figure of one minute.

    `minute` is the instant (ms) at which the minute began. `name` and `labels` say what
    was counted: of both together there are STATS_MAX series at most. `labels` are words
    separated by blanks.
    """

    minute: int
    name: str
    labels: str
    n: int


class Sum(msgspec.Struct, frozen=True):
    """What a series comes to in some minutes: their sum, and the greatest of them."""

    name: str
    labels: str
    total: int
    most: int


class Totals(msgspec.Struct, frozen=True):
    """How many accounts there are, are disabled, and have a second factor.

    `sessions` is the number of live ones. It may be off by those that changed within
    the last minute, and of more than 50,000 by 1 %.
    """

    accounts: int
    disabled: int
    with_factor: int
    sessions: int


class StatsStore(Protocol):
    """Figures by minute and series, kept for STATS_KEPT."""

    async def add(self, counts: Sequence[Stat], levels: Sequence[Stat]) -> None:
        """Add `counts` to what other processes counted in those minutes.

        Of `levels` the greatest that any process has seen in a minute is kept. MUST be
        one transaction, so that a call that is repeated after a fault counts twice at
        most, and a call of no rows costs nothing.
        """

    async def read(self, since: int, until: int) -> list[Stat]:
        """The figures of minutes from `since` on and before `until`, in order."""

    async def sums(self, since: int, until: int) -> list[Sum]:
        """What each series comes to in these minutes, in order of name and labels.

        A caller asks for a few hours at a time, which are some ten thousand rows.
        """

    async def totals(self, alive: Alive) -> Totals:
        """Count anew: called once a minute by one process.

        `alive` says which sessions are alive. MUST NOT delay refreshes, however many
        rows there are.
        """
