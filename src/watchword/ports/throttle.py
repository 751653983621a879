"""Counters of what may happen so often, such as failed sign-ins, or mails sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watchword.core.throttle import Cost


class Throttle(Protocol):
    """Counters by GCRA: one instant per key."""

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        """Count one attempt against every key and return 0, or count none.

        In that case it returns how many milliseconds to wait. It is atomic over all
        callers: of two attempts for the last place, one is refused.
        """

    async def give_back(
        self, costs: Sequence[Cost], *, forget: Sequence[str] = ()
    ) -> None:
        """Undo one attempt. The counters `forget` start anew: it succeeded."""
