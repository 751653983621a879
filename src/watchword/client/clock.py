"""Time and randomness, which the pure parts of the client take as arguments."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Final, NamedTuple

_BYTES: Final = 24


class Instant(NamedTuple):
    """A moment on both clocks of `Clocks`."""

    steady: float
    wall: float


class Clocks(NamedTuple):
    """Two clocks in seconds.

    `steady` cannot be set; `wall` can, and is the one that processes have in common.
    """

    steady: Callable[[], float]
    wall: Callable[[], float]

    def now(self) -> Instant:
        """This moment, by both clocks."""
        return Instant(self.steady(), self.wall())

    def since(self, then: Instant) -> float:
        """Seconds from `then` to now, by the clock that shows more.

        A steady clock may stand still while the machine sleeps, and a wall clock may be
        set back. A wall clock set forward only causes a refresh that was not needed
        yet.
        """
        return max(self.steady() - then.steady, self.wall() - then.wall)


# A clock that goes on while the machine sleeps, as server and verifier use it. On macOS
# that is CLOCK_MONOTONIC; `time.monotonic()` there is another clock, which stands
# still.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def _steady() -> float:
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


SYSTEM: Final = Clocks(_steady, time.time)


class Random:
    """Random values, made from a source of random bytes."""

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy

    def text(self) -> str:
        """A retry key, or the `jti` of a proof: visible ASCII, not to be guessed."""
        return urlsafe_b64encode(self._entropy(_BYTES)).decode()

    def between(self, low: float, high: float) -> float:
        """A random number between `low` and `high`."""
        return low + (high - low) * int.from_bytes(self._entropy(4)) / 2**32
