"""Time and randomness, as the client's pure parts are given them."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final, NamedTuple

_BYTES: Final = 24


class Clocks(NamedTuple):
    """Seconds. `steady` is never set; `wall` is what other processes see too."""

    steady: Callable[[], float]
    wall: Callable[[], float]


def _steady() -> float:
    """Where there is such a clock, one that goes on while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


SYSTEM: Final = Clocks(_steady, time.time)


class Draws:
    """What is drawn at random, from a source of bytes."""

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy

    def text(self) -> str:
        """A retry key, or the `jti` of a proof: visible ASCII that nobody guesses."""
        return urlsafe_b64encode(self._entropy(_BYTES)).decode()

    def between(self, low: float, high: float) -> float:
        """Any number in between."""
        return low + (high - low) * int.from_bytes(self._entropy(4)) / 2**32
