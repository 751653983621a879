"""What concerns a backend as a whole: whether it answers, its sweep, its end."""

from __future__ import annotations

from typing import Protocol


class Backend(Protocol):
    """The database that all ports of a `Stores` share, or the databases."""

    async def check(self) -> None:
        """Raises StoreUnavailable unless a read works now."""

    async def sweep(self, now: int, limit: int) -> int:
        """Delete up to `limit` rows of each kind that are over; returns how many.

        These are sessions with an idle deadline more than SWEEP_AFTER ago, feed entries
        past `until`, throttle counters that have run down, keys of `use_once` past
        `until`, registrations, confirmations, credentials and held names past `until`,
        and audit records past retention. MUST NOT touch a live session.
        """

    async def close(self) -> None:
        """Finish accepted calls, then release files, threads and connections."""
