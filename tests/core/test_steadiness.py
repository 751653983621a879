"""The wall clock beside a monotonic one: set, set back, and right again."""

from __future__ import annotations

from watchword.core.limits import ACCESS_TTL_MAX, CLOCK_SKEW, FEED_LEEWAY, HOUR, MINUTE
from watchword.core.steadiness import Steadiness

NOW, HOLD = 1_800_000_000_000, ACCESS_TTL_MAX + FEED_LEEWAY


def test_clocks_that_move_together_are_steady() -> None:
    """Small corrections are none, but those that add up are."""
    clock = Steadiness(NOW, 5)
    for minutes in range(3):
        here = minutes * MINUTE
        assert clock.is_steady(NOW - 5 + here + minutes * CLOCK_SKEW // 2, here)
    assert not clock.is_steady(NOW - 5 + 3 * MINUTE + 3 * CLOCK_SKEW // 2, 3 * MINUTE)


def test_a_clock_that_was_set_is_not_trusted_for_a_tokens_life() -> None:
    """Nor after it was set back, though it is right again: each jump counts."""
    for jump in (HOUR, -HOUR):
        clock = Steadiness(NOW, 0)
        assert not clock.is_steady(NOW + MINUTE + jump, MINUTE)
        assert not clock.is_steady(NOW + 2 * MINUTE, 2 * MINUTE)
        last = 2 * MINUTE + HOLD
        assert not clock.is_steady(NOW + last - 1, last - 1)
        assert clock.is_steady(NOW + last, last)
