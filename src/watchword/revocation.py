"""Who has been logged out: the set in memory, and the feed that fills it.

One entry per session that ended before its time, kept until its last access token has
expired: the set stays tiny. The process that ends a session adds it at once; every
other process follows the feed, within a second. Nothing is accepted before the first
complete read, nor when the last one is older than a bound: then nobody knows, and the
answer is 503, not 401, for the client must not sign its user out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from watchword.core import limits
from watchword.core.session import Ended, as_text
from watchword.errors import StoreUnavailable
from watchword.ports import Clock, Cursor, SessionStore


class Revocations:
    """The sessions whose access tokens are dead before their `exp`.

    `monotonic` measures staleness in milliseconds: a clock that is set must neither
    blind the process nor make it trust an old feed.
    """

    def __init__(
        self, store: SessionStore, clock: Clock, monotonic: Callable[[], int]
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._until: dict[str, int] = {}
        self._cursor: Cursor | None = None
        self._complete_at: int | None = None

    def __len__(self) -> int:
        return len(self._until)

    def has_ended(self, sid: str) -> bool:
        """Whether that session ended. Raises StoreUnavailable when nobody can say."""
        if not self.is_current():
            raise StoreUnavailable
        return sid in self._until

    def is_current(self) -> bool:
        """Whether the feed was read completely, and recently enough."""
        if self._complete_at is None:
            return False
        return self._monotonic() - self._complete_at <= limits.FEED_STALE

    def add(self, entries: Iterable[Ended]) -> None:
        """Sessions that ended, known from the feed or because we ended them."""
        for entry in entries:
            sid = as_text(entry.session_id)
            self._until[sid] = max(entry.until, self._until.get(sid, 0))

    async def follow(self) -> None:
        """Read the feed on from where we are."""
        asked = self._monotonic()
        feed = await self._store.ended(self._cursor, self._clock())
        self.add(feed.entries)
        self._cursor = feed.cursor
        self._complete_at = asked

    def forget_expired(self) -> None:
        """Drop the entries whose access tokens have surely all expired by now."""
        now = self._clock()
        for sid in [sid for sid, until in self._until.items() if until <= now]:
            del self._until[sid]
