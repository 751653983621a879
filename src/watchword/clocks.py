"""Clocks and randomness: the types the engine is given, and the real clocks.

Code below `bootstrap` takes a clock and a source of randomness as arguments.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Clock = Callable[[], int]
"""The current instant, in milliseconds since the Unix epoch (UTC)."""

Entropy = Callable[[int], bytes]
"""So many bytes from a cryptographically secure source."""

# Linux's CLOCK_MONOTONIC stands still while the machine sleeps; CLOCK_BOOTTIME goes on.
_MONOTONIC: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def system_clock() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def monotonic() -> int:
    """Milliseconds that never go back."""
    return time.clock_gettime_ns(_MONOTONIC) // 1_000_000
