"""Contract: the feed of ended sessions.

A process that follows the feed with a cursor MUST learn of every session that ended.
"""

# ruff: noqa: S101 - a test suite: assertions are the point

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE
from watchword.core.session import Ended, Session
from watchword.ports import Stores
from watchword.ports.sessions import ById, Change, Cursor
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import a_session, an_event, put, sweep_up


async def _end(stores: Stores, session: Session, at: int = START) -> None:
    await stores.sessions.end(ById(session.id), EndReason.LOGOUT, an_event(at=at), 1)


def _ids(entries: Sequence[Ended]) -> set[bytes]:
    return {entry.session_id for entry in entries}


class FeedOfTheEnded(OnAStore):
    """The promises that followers of the feed rely on."""

    async def test_feed_begins_empty_and_complete(self, stores: Stores) -> None:
        """A first read has a cursor, and is complete as of the instant it was made."""
        feed = await stores.sessions.ended(None, START + 3, FEED_PAGE)
        assert feed.entries == []
        assert feed.complete_as_of <= START + 3
        assert (
            await stores.sessions.ended(feed.cursor, START + 4, FEED_PAGE)
        ).entries == []

    async def test_cursor_brings_what_came_after(self, stores: Stores) -> None:
        """Reads that follow one another have every entry between them."""
        rows = [a_session(number) for number in range(4)]
        await put(stores, *rows)
        await _end(stores, rows[0])
        first = await stores.sessions.ended(None, START, FEED_PAGE)
        assert _ids(first.entries) == {rows[0].id}
        await _end(stores, rows[1])
        change = Change(rows[2], rows[2].ended(EndReason.REUSE, START))
        await stores.sessions.swap([change])
        second = await stores.sessions.ended(first.cursor, START, FEED_PAGE)
        assert {rows[1].id, rows[2].id} <= _ids(second.entries)
        await _end(stores, rows[3])
        third = await stores.sessions.ended(second.cursor, START, FEED_PAGE)
        assert rows[3].id in _ids(third.entries)
        everything = await stores.sessions.ended(None, START, FEED_PAGE)
        assert _ids(everything.entries) == {row.id for row in rows}

    async def test_long_feed_comes_in_pages(self, stores: Stores) -> None:
        """All pages together have every entry, also those added between two pages.

        That holds however entries are spread: a store may divide them into shares, and
        here most of them are in one share.
        """
        rows = [a_session(number) for number in (*range(100), *range(128, 8000, 64))]
        await put(stores, *rows)
        for row in rows[1:]:
            await _end(stores, row)
        for limit in (1, 128):
            feed = await stores.sessions.ended(None, START, limit)
            seen, pages = _ids(feed.entries), 1
            await _end(stores, rows[0])
            while feed.more:
                feed = await stores.sessions.ended(feed.cursor, START, limit)
                seen, pages = seen | _ids(feed.entries), pages + 1
                assert len(feed.entries) <= max(limit, 64)
            assert pages > 1
            assert seen == {row.id for row in rows}

    async def test_another_life_begins_in_the_middle_of_a_read(
        self, stores: Stores
    ) -> None:
        """The page after a restored backup, or a clock set back, has every entry."""
        rows = [a_session(number * 64) for number in range(6)]
        await put(stores, *rows)
        for row in rows:
            await _end(stores, row)
        page = await stores.sessions.ended(None, START, 1)
        replace = msgspec.structs.replace
        for cursor in (
            replace(page.cursor, incarnation=b"elsewhere"),
            replace(page.cursor, sequence=page.cursor.sequence + 10**9),
        ):
            feed = await stores.sessions.ended(cursor, START, FEED_PAGE)
            assert _ids(feed.entries) == {row.id for row in rows}
            assert feed.cursor.incarnation == page.cursor.incarnation

    async def test_foreign_cursor_means_a_complete_read(self, stores: Stores) -> None:
        """A cursor of another incarnation, or ahead of the feed, counts as no cursor.

        A restored backup has the same incarnation, and its sequence is behind the
        cursor.
        """
        row = a_session()
        await put(stores, row)
        await _end(stores, row)
        now = (await stores.sessions.ended(None, START, FEED_PAGE)).cursor
        for cursor in (
            Cursor(b"elsewhere", now.sequence),
            Cursor(now.incarnation, now.sequence + 10**9),
        ):
            feed = await stores.sessions.ended(cursor, START, FEED_PAGE)
            assert _ids(feed.entries) == {row.id}
            assert feed.cursor == now

    async def test_cursor_outlives_a_sweep(self, stores: Stores) -> None:
        """After a sweep has emptied the feed, a cursor misses no later entry."""
        rows = [a_session(number) for number in range(3)]
        await put(stores, *rows)
        for row in rows[:2]:
            await _end(stores, row)
        cursor = (await stores.sessions.ended(None, START, FEED_PAGE)).cursor
        later = rows[0].ended(EndReason.LOGOUT, START).feed_entry().until
        await sweep_up(stores, later)
        await _end(stores, rows[2], later)
        feed = await stores.sessions.ended(cursor, later, FEED_PAGE)
        assert _ids(feed.entries) == {rows[2].id}

    async def test_no_entry_is_lost_with_many_writers(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """A reader that follows while several callers write gets every entry."""
        writers, each = 3, 40
        rows = [a_session(number) for number in range(writers * each)]
        await put(stores, *rows)
        busy = writers
        seen: set[bytes] = set()

        def writer(mine: Sequence[Session]) -> Job[None]:
            async def job(stores: Stores) -> None:
                nonlocal busy
                halves = mine[::2], mine[1::2]
                changes = [
                    [Change(row, row.ended(EndReason.REUSE, START))]
                    for row in halves[1]
                ]
                await asyncio.gather(
                    *(_end(stores, row) for row in halves[0]),
                    *(stores.sessions.swap(change) for change in changes),
                )
                busy -= 1

            return job

        async def reader(stores: Stores) -> None:
            cursor, last = None, False
            while not last:
                last = not busy  # the writers have finished: this read has all the rest
                feed = await stores.sessions.ended(cursor, START, FEED_PAGE)
                seen.update(_ids(feed.entries))
                cursor = feed.cursor
                await asyncio.sleep(0)

        shares = [rows[begin::writers] for begin in range(writers)]
        await crowd.run([*map(writer, shares), reader])
        assert seen == {row.id for row in rows}
