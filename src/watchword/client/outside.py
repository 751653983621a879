"""Time and randomness, as the client's pure parts are given them."""

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
    """Seconds. `steady` is never set; `wall` is what other processes see too."""

    steady: Callable[[], float]
    wall: Callable[[], float]

    def now(self) -> Instant:
        """This moment."""
        return Instant(self.steady(), self.wall())

    def since(self, then: Instant) -> float:
        """Seconds from `then` to now, by the clock that says more.

        A steady clock may stand still while the machine sleeps, and a wall clock may be
        set back. One that was set forward costs a refresh that was not needed yet.
        """
        return max(self.steady() - then.steady, self.wall() - then.wall)


# The clock of the server and of the verifier: it goes on while the machine sleeps. That
# of macOS is CLOCK_MONOTONIC; `time.monotonic()` is another one, which stands still.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def _steady() -> float:
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


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
