"""Contract: the ends of sessions: one, an account's, a client's, or all from before."""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from watchword.core.limits import FEED_PAGE, SECOND
from watchword.core.session import Ended
from watchword.ports import Stores
from watchword.ports.sessions import Before, ByAccount, ByClient, ById, Change, Selector
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_session,
    an_event,
    fed,
    identifier,
    living,
    put,
    rotated,
)


async def _alive(stores: Stores) -> set[bytes]:
    return {row.id for row in await living(stores)}


class Ends(OnAStore):
    """What ends, and what is written with it."""

    async def test_end_reaches_exactly_what_was_meant(self, stores: Stores) -> None:
        """An end reaches one session, an account's, a client's, or all from before."""
        old = START - 1000
        rows = {
            "mine": a_session(1, account=1),
            "kept": a_session(2, account=1),
            "old": a_session(3, account=2, now=old),
            "edge": a_session(4, account=2, now=START),
            "other": a_session(5, account=3),
            "app": a_session(6, account=3, client_id="mobile"),
            "app too": a_session(7, account=1, client_id="mobile"),
        }
        await put(stores, *rows.values())

        async def end(which: Selector) -> set[bytes]:
            ended = await stores.sessions.end(which, "test", an_event(), 10)
            return {entry.session_id for entry in ended}

        assert await end(ById(a_session(9).id)) == set()
        assert await end(ByClient("nobody")) == set()
        apps = {rows["app"].id, rows["app too"].id}
        assert await end(ByClient("mobile")) == apps
        assert await end(ByAccount(identifier(1), rows["kept"].id)) == {rows["mine"].id}
        assert await end(Before(START)) == {rows["old"].id}
        assert await end(ById(rows["other"].id)) == {rows["other"].id}
        assert await _alive(stores) == {rows["kept"].id, rows["edge"].id}
        assert await end(ByAccount(identifier(2))) == {rows["edge"].id}

    async def test_end_writes_row_feed_and_event(self, stores: Stores) -> None:
        """Each session ended has its reason, one feed entry and one event."""
        rows = [a_session(1), a_session(2)]
        await put(stores, *rows)
        at = START + 7
        event = an_event(at=at, reason="logout", by="user")
        ended = await stores.sessions.end(ByAccount(identifier(1)), "logout", event, 10)
        entries = [row.ended("logout", at).feed_entry() for row in rows]
        assert sorted(ended, key=_by_session) == entries
        assert await stores.sessions.load([row.id for row in rows]) == [
            row.ended("logout", at) for row in rows
        ]
        feed = await stores.sessions.ended(None, at, FEED_PAGE)
        assert sorted(feed.entries, key=_by_session) == entries
        told = [event for _, event in await stores.audit.read(2, 10)]
        replace = msgspec.structs.replace
        assert sorted(told, key=lambda event: event.session_id or b"") == [
            replace(event, session_id=row.id, account_id=row.account_id) for row in rows
        ]

    async def test_end_is_idempotent_and_the_first_reason_stays(
        self, stores: Stores
    ) -> None:
        """Ending again changes nothing, returns nothing and records nothing."""
        row = a_session()
        await put(stores, row)
        await stores.sessions.end(ById(row.id), "logout", an_event(at=START), 10)
        for which in (ById(row.id), ByAccount(row.account_id)):
            again = an_event(at=START + SECOND)
            assert await stores.sessions.end(which, "again", again, 10) == []
        assert await stores.sessions.load([row.id]) == [row.ended("logout", START)]
        assert await stores.audit.last() == 2
        assert len(await fed(stores)) == 1

    async def test_end_goes_in_steps(self, stores: Stores) -> None:
        """A full step means that more may be left; a short step that none is left."""
        await put(stores, *(a_session(number) for number in range(5)))
        counts = []
        for _ in range(3):
            ended = await stores.sessions.end(
                ByAccount(identifier(1)), "all", an_event(), 2
            )
            counts.append(len(ended))
        assert counts == [2, 2, 1]
        assert await _alive(stores) == set()

    @pytest.mark.parametrize(
        "which", [Before(START + 1), ByClient("first-party")], ids=repr
    )
    async def test_end_by_the_walk_goes_on_where_it_left_off(
        self, stores: Stores, which: Before | ByClient
    ) -> None:
        """Steps over all sessions take the lowest ids first, and follow `after`."""
        rows = [a_session(number) for number in range(6)]
        await put(stores, *reversed(rows))
        first = await stores.sessions.end(which, "all", an_event(), 2)
        assert _ids(first) == {row.id for row in rows[:2]}
        onward = msgspec.structs.replace(which, after=rows[2].id)
        second = await stores.sessions.end(onward, "all", an_event(), 2)
        assert _ids(second) == {row.id for row in rows[3:5]}
        assert await _alive(stores) == {rows[2].id, rows[5].id}

    async def test_swap_begun_before_an_end_misses(self, stores: Stores) -> None:
        """A row loaded before an end, or before new roles, is not written after it."""
        for number, move in enumerate(("end", "roles")):
            row = a_session(number, account=number)
            await put(stores, row)
            if move == "end":
                await stores.sessions.end(ById(row.id), "logout", an_event(), 10)
            else:
                await stores.sessions.assign_roles(row.account_id, ("admin",))
            assert await stores.sessions.swap([Change(row, rotated(row))]) == [False]


def _ids(entries: Sequence[Ended]) -> set[bytes]:
    return {entry.session_id for entry in entries}


def _by_session(entry: Ended) -> bytes:
    return entry.session_id
