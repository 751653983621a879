"""The sessions that ended before their time, for as long as it matters.

Kept wherever access tokens are checked, by the server and by verifiers elsewhere. An
entry goes when the last access token of its session has expired by either clock: the
wall clock may be set, and whoever ended the session may have another.
"""

from __future__ import annotations


class EndedSessions:
    """By session (its `sid`): until when it is remembered, by either clock.

    `now` is the wall clock and `here` a monotonic one, both in milliseconds.
    """

    def __init__(self) -> None:
        self._until: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, sid: str) -> bool:
        return sid in self._until

    def add(self, sid: str, *, at: int, until: int, here: int) -> bool:
        """Remember it; whether that was news, or is to be remembered for longer.

        `at` and `until` are by the clock of whoever ended it, which may be far behind.
        """
        known, known_here = self._until.get(sid, (0, 0))
        self._until[sid] = max(until, known), max(here + until - at, known_here)
        return until > known

    def forget_expired(self, now: int, here: int) -> None:
        """Drop those whose access tokens have surely all expired by now."""
        over = [s for s, (u, h) in self._until.items() if u <= now and h <= here]
        for sid in over:
            del self._until[sid]
