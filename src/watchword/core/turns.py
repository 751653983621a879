"""How work that is done again and again has gone lately."""

from __future__ import annotations

from collections import deque
from typing import Final

SHOWN: Final = 100


class Turns:
    """The last SHOWN turns of some work: how long they took, and whether it fails."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=SHOWN)
        self.is_failing = False

    def note(self, seconds: float, *, failed: bool = False) -> None:
        """Note a turn that took so long."""
        self._latest.append(seconds)
        self.is_failing = failed

    @property
    def slowest(self) -> float | None:
        """The longest of them, in seconds; None before the first."""
        return max(self._latest, default=None)
