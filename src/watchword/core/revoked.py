"""The sessions that were revoked while access tokens of theirs may still be valid.

Every process that checks access tokens keeps this set: the server, and the verifiers of
APIs. An entry is dropped once the last access token of its session has expired by both
clocks, wall and monotonic. One clock is not enough: the wall clock may be set, and the
machine that ended the session may have a different one.
"""

from __future__ import annotations


class RevokedSet:
    """For each session (its `sid`): until when it is remembered, by both clocks.

    `now` is the wall clock and `here` a monotonic one, both in milliseconds.
    """

    def __init__(self) -> None:
        self._until: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, sid: str) -> bool:
        return sid in self._until

    def add(self, sid: str, *, at: int, until: int, here: int) -> bool:
        """Remember a session. True if it was unknown or is now remembered for longer.

        `at` and `until` are by the clock of the machine that ended the session, which
        may be far behind.
        """
        known, known_here = self._until.get(sid, (0, 0))
        self._until[sid] = max(until, known), max(here + until - at, known_here)
        return until > known

    def forget_expired(self, now: int, here: int) -> None:
        """Drop the sessions of which all access tokens have expired by both clocks."""
        over = [s for s, (u, h) in self._until.items() if u <= now and h <= here]
        for sid in over:
            del self._until[sid]
