"""Time and randomness as tests want them: moved by hand, and the same every time."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final

START: Final = 1_800_000_000_000
"""2027-01-15T08:00:00Z: where a manual clock starts, unless told otherwise."""


_MS: Final = timedelta(milliseconds=1)


class ManualClock:
    """A clock in milliseconds that stands still until a test moves it."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """The instant that the test has set."""
        return self.now

    def advance(self, by: int | timedelta) -> int:
        """Move on by milliseconds or a `timedelta`, or back; the new instant."""
        self.now += by // _MS if isinstance(by, timedelta) else by
        return self.now


class SeededEntropy:
    """Bytes that look random, never repeat and are the same for the same seed.

    Drawn from SHAKE-256 (FIPS 202) over the seed and a counter. For tests only: whoever
    knows the seed knows every secret.
    """

    def __init__(self, seed: str = "") -> None:
        self._seed = seed.encode()
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        """That many bytes, other ones at each call."""
        self._drawn += 1
        stamp = self._drawn.to_bytes(8)
        return hashlib.shake_256(stamp + self._seed).digest(size)
