"""Whether the wall clock can be trusted when something is deleted as expired."""

from __future__ import annotations

from watchword.core import limits


class Steadiness:
    """Compares the wall clock (`now`) with a monotonic one (`here`), in milliseconds.

    They move together unless the wall clock is set. If the wall clock stood an hour
    ahead and entries of ended sessions were deleted by it, those entries are missed
    once it is set back: a session that ended would seem alive again.
    """

    def __init__(self, now: int, here: int) -> None:
        self._offset = now - here
        self._jumped_at: int | None = None

    def is_steady(self, now: int, here: int) -> bool:
        """Whether the wall clock was not set lately.

        "Lately" is within the longest life of an access token. After that every token
        issued before the jump has expired, whichever of the two times was right.
        """
        offset = now - here
        if abs(offset - self._offset) > limits.CLOCK_SKEW:
            self._offset, self._jumped_at = offset, here
        if self._jumped_at is None:
            return True
        hold = limits.ACCESS_TTL_MAX + limits.FEED_LEEWAY
        return here - self._jumped_at >= hold
