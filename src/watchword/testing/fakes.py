"""Time and randomness for tests: a clock moved by hand, and reproducible bytes."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final

START: Final = 1_800_000_000_000
"""2027-01-15T08:00:00Z, where a manual clock starts by default."""

_MS: Final = timedelta(milliseconds=1)


class ManualClock:
    """A clock in milliseconds that stands still until a test moves it."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """The instant that the test has set, in milliseconds since the Unix epoch."""
        return self.now

    def advance(self, by: int | timedelta) -> int:
        """Move by milliseconds or a `timedelta`, also back. Returns the new instant."""
        self.now += by // _MS if isinstance(by, timedelta) else by
        return self.now


class SeededEntropy:
    """Bytes that look random, never repeat and are the same for the same seed.

    They are drawn from SHAKE-256 (FIPS 202) over the seed and a counter. For tests
    only: every secret can be computed from the seed.
    """

    def __init__(self, seed: str = "") -> None:
        self._seed = seed.encode()
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        """That many bytes, different at each call."""
        self._drawn += 1
        stamp = self._drawn.to_bytes(8)
        return hashlib.shake_256(stamp + self._seed).digest(size)
