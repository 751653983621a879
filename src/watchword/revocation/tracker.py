"""Which sessions have ended: the set in memory, and the feed that fills it.

There is one entry per session that ended before its time. It is kept until the
session's last access token has expired, so the set stays tiny. The process that ends a
session adds it at once; every other process learns of it from the feed within a second.
Nothing is accepted before the first complete read, nor when the last complete read is
older than a bound. The process then does not know what has ended. It answers 503 and
not 401, because a client that gets 401 would sign its user out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from watchword.clocks import Clock
from watchword.core import limits
from watchword.core.revoked import RevokedSet
from watchword.core.session import Ended, Session, as_text
from watchword.errors import StoreUnavailable
from watchword.metrics import NO_METRICS, Metrics
from watchword.metrics.catalog import Histogram
from watchword.ports.sessions import Cursor, FeedPage, SessionStore

_READ_TIMEOUT: Final = limits.FEED_TIMEOUT / limits.SECOND


class RevocationTracker:
    """The sessions that ended before the `exp` of their access tokens.

    `monotonic` (milliseconds) measures how old the last read is, and how long an entry
    has been in the set. Wall clocks can be set: that must not make the process refuse
    everything, trust an old feed or forget an entry. `on_new_entries` is called with
    the entries that were not known before.
    """

    def __init__(
        self,
        *,
        sessions: SessionStore,
        clock: Clock,
        monotonic: Callable[[], int],
        on_new_entries: Callable[[Sequence[Ended]], None] = lambda _: None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._metrics = metrics
        self._sessions = sessions
        self._clock = clock
        self._monotonic = monotonic
        self._on_new_entries = on_new_entries
        self._revoked = RevokedSet()
        self._cursor: Cursor | None = None
        self._complete_at: int | None = None
        # When the last page of that read was asked for: that is the age of its cursor.
        self._asked_at: int | None = None
        # The reads under way; those that got a page lately; those that got none.
        self._reads: set[asyncio.Task[None]] = set()
        self._moved: set[asyncio.Task[Any] | None] = set()
        self._hung: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._revoked)

    def has_ended(self, sid: str) -> bool:
        """Whether that session ended. Raises StoreUnavailable if that is not known."""
        if not self.is_current():
            raise StoreUnavailable
        return sid in self._revoked

    def is_current(self) -> bool:
        """Whether the last complete read of the feed is recent enough."""
        if self._complete_at is None:
            return False
        return self._monotonic() - self._complete_at <= limits.FEED_STALE

    @property
    def complete_as_of(self) -> int | None:
        """Every session that ended before this instant is known.

        Milliseconds of the monotonic clock; None if the set is not current.
        """
        return self._complete_at if self.is_current() else None

    @property
    def age(self) -> int | None:
        """How old (ms) what is known is; None before the first complete read."""
        known = self._complete_at
        return None if known is None else self._monotonic() - known

    def add(self, entries: Iterable[Ended]) -> None:
        """Add sessions that ended, read from the feed or ended by this process."""
        here = self._monotonic()
        new_entries = [
            one
            for one in entries
            if self._revoked.add(
                as_text(one.session_id), at=one.at, until=one.until, here=here
            )
        ]
        if new_entries:
            self._note_reach(new_entries)
            self._on_new_entries(new_entries)

    def _note_reach(self, entries: Sequence[Ended]) -> None:
        """Observe how long ago they ended, but for those from before this process."""
        if self._complete_at is not None:
            now = self._clock()
            for one in entries:
                seconds = max(0, now - one.at) / limits.SECOND
                self._metrics.observe(Histogram.REVOCATION_REACH, seconds)

    def note_revoked(self, session: Session) -> None:
        """Add the session if its row says that it has ended.

        A process that tells a client of the end must refuse the access tokens as well.
        """
        if session.revoked_at is not None:
            entry = session.feed_entry()
            if entry.until > self._clock():
                self.add([entry])

    async def read(self) -> None:
        """Read the feed on from the last cursor, however many pages that takes.

        Raises StoreUnavailable if a page does not come in time.
        """
        begun, now = self._monotonic(), self._clock()
        asked_at = self._asked_at
        recent = asked_at is not None and begun - asked_at < limits.FEED_RECENT
        cursor = self._cursor if recent else None
        while True:
            asked_at = self._monotonic()
            page = await self._page(cursor, now)
            self.add(page.entries)
            cursor = page.cursor
            self._moved.add(asyncio.current_task())
            if not page.more:
                break
            # A store on this machine may answer without ever yielding to other tasks.
            await asyncio.sleep(0)
        # Ends that were committed after the first page was asked for may be missing.
        # The store may also say that it is itself behind.
        complete_at = begun - max(0, now - page.complete_as_of)
        if self._complete_at is None or complete_at >= self._complete_at:
            self._cursor, self._complete_at = cursor, complete_at
            self._asked_at = asked_at

    async def _page(self, cursor: Cursor | None, now: int) -> FeedPage:
        # An answer that takes longer would already be too old to use.
        try:
            async with asyncio.timeout(limits.FEED_STALE / limits.SECOND):
                return await self._sessions.ended(cursor, now, limits.FEED_PAGE)
        except TimeoutError as error:
            raise StoreUnavailable from error

    async def follow(self) -> None:
        """Begin a read and wait for it. To be called again and again.

        While a read hangs, the next call begins another one beside it. A long read, of
        many pages, is waited for as long as pages come. Raises what the read raised,
        and StoreUnavailable if no page has come for a while.
        """
        if self._reads <= self._hung and len(self._reads) < limits.FEED_READS:
            read = asyncio.create_task(self.read())
            self._reads.add(read)
            read.add_done_callback(self._over)
        self._moved.clear()
        done, waiting = await asyncio.wait(
            self._reads, timeout=_READ_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
        )
        self._hung = waiting - self._moved
        if not done and self._hung == waiting:
            raise StoreUnavailable("The revocation feed does not answer.")
        for read in done:
            if read.cancelled():  # not by this task, which has to go on following
                raise StoreUnavailable
            read.result()

    def _over(self, read: asyncio.Task[None]) -> None:
        self._reads.discard(read)
        if not read.cancelled():
            # Retrieved, so that asyncio does not log it. Waiting tasks get it as well.
            read.exception()

    async def close(self) -> None:
        """Cancel the reads that hang, and wait for them only briefly."""
        for read in self._reads:
            read.cancel()
        if self._reads:
            await asyncio.wait(self._reads, timeout=_READ_TIMEOUT)

    def forget_expired(self) -> None:
        """Drop the entries of which every access token has certainly expired."""
        self._revoked.forget_expired(self._clock(), self._monotonic())
