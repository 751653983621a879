"""Who has been logged out: the set in memory, and the feed that fills it.

One entry per session that ended before its time, kept until its last access token has
expired: the set stays tiny. The process that ends a session adds it at once; every
other process follows the feed, within a second. Nothing is accepted before the first
complete read, nor when the last one is older than a bound: then nobody knows, and the
answer is 503, not 401, for the client must not sign its user out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from watchword.core import limits
from watchword.core.ended import EndedSessions
from watchword.core.session import Ended, Session, as_text
from watchword.errors import StoreUnavailable
from watchword.ports import Clock, Cursor, Feed, SessionStore

_PATIENCE: Final = limits.FEED_PATIENCE / limits.SECOND


class Revocations:
    """The sessions whose access tokens are dead before their `exp`.

    `monotonic` measures in milliseconds how old the last read is, and how long an entry
    has been here: a clock that is set must neither blind the process nor make it trust
    an old feed, nor forget. `on_news` is given what was not known before.
    """

    def __init__(
        self,
        store: SessionStore,
        clock: Clock,
        monotonic: Callable[[], int],
        on_news: Callable[[Sequence[Ended]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._on_news = on_news
        self._ended = EndedSessions()
        self._cursor: Cursor | None = None
        self._complete_at: int | None = None
        # When the last page of that read was asked for: so old is its cursor.
        self._asked_at: int | None = None
        # Reads under way; of those, which had a page lately and which had none.
        self._reads: set[asyncio.Task[None]] = set()
        self._moved: set[asyncio.Task[Any] | None] = set()
        self._hung: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._ended)

    def has_ended(self, sid: str) -> bool:
        """Whether that session ended. Raises StoreUnavailable when nobody can say."""
        if not self.is_current():
            raise StoreUnavailable
        return sid in self._ended

    def is_current(self) -> bool:
        """Whether the feed was read completely, and recently enough."""
        if self._complete_at is None:
            return False
        return self._monotonic() - self._complete_at <= limits.FEED_STALE

    @property
    def complete_as_of(self) -> int | None:
        """By the monotonic clock: all that ended before is known. None: not current."""
        return self._complete_at if self.is_current() else None

    def add(self, entries: Iterable[Ended]) -> None:
        """Sessions that ended, known from the feed or because we ended them."""
        here = self._monotonic()
        news = [
            one
            for one in entries
            if self._ended.add(
                as_text(one.session_id), at=one.at, until=one.until, here=here
            )
        ]
        if news:
            self._on_news(news)

    def learn(self, session: Session) -> None:
        """Likewise of a row: whoever says that it has ended refuses its tokens too."""
        if session.revoked_at is not None:
            entry = session.feed_entry()
            if entry.until > self._clock():
                self.add([entry])

    async def read(self) -> None:
        """Read the feed on from where we are, however long it takes.

        Raises StoreUnavailable where a page does not come.
        """
        begun, now = self._monotonic(), self._clock()
        asked_at = self._asked_at
        recent = asked_at is not None and begun - asked_at < limits.FEED_RECENT
        cursor = self._cursor if recent else None
        while True:
            asked_at = self._monotonic()
            feed = await self._page(cursor, now)
            self.add(feed.entries)
            cursor = feed.cursor
            self._moved.add(asyncio.current_task())
            if not feed.more:
                break
            await asyncio.sleep(0)  # a store on this machine may not wait by itself
        # What was committed since the first page was asked for may be missing, and the
        # store may know itself to be behind.
        complete_at = begun - max(0, now - feed.complete_as_of)
        if self._complete_at is None or complete_at >= self._complete_at:
            self._cursor, self._complete_at = cursor, complete_at
            self._asked_at = asked_at

    async def _page(self, cursor: Cursor | None, now: int) -> Feed:
        # An answer to what was asked longer ago than this would be worth nothing.
        try:
            async with asyncio.timeout(limits.FEED_STALE / limits.SECOND):
                return await self._store.ended(cursor, now, limits.FEED_PAGE)
        except TimeoutError as error:
            raise StoreUnavailable from error

    async def follow(self) -> None:
        """The same, beside a read that hangs; to be called again and again.

        Raises what the read raised; StoreUnavailable where nothing has come for a
        while. A long read, of many pages, is waited for as long as they come.
        """
        if self._reads <= self._hung and len(self._reads) < limits.FEED_READS:
            read = asyncio.create_task(self.read())
            self._reads.add(read)
            read.add_done_callback(self._over)
        self._moved.clear()
        done, waiting = await asyncio.wait(
            self._reads, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        self._hung = waiting - self._moved
        if not done and self._hung == waiting:
            raise StoreUnavailable("The revocation feed does not answer.")
        for read in done:
            if read.cancelled():  # not by us: whoever follows goes on
                raise StoreUnavailable
            read.result()

    def _over(self, read: asyncio.Task[None]) -> None:
        self._reads.discard(read)
        if not read.cancelled():
            read.exception()  # whoever still waits for it has it

    async def close(self) -> None:
        """Let go of reads that hang, and do not wait long for that."""
        for read in self._reads:
            read.cancel()
        if self._reads:
            await asyncio.wait(self._reads, timeout=_PATIENCE)

    def forget_expired(self) -> None:
        """Drop the entries whose access tokens have surely all expired by now."""
        self._ended.forget_expired(self._clock(), self._monotonic())
