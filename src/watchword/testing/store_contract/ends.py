"""Contract: the ends of sessions: one, an account's, a client's, or all from before."""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE, HOUR, SECOND
from watchword.core.session import STRICT, Ended
from watchword.ports import Stores
from watchword.ports.sessions import Before, ByAccount, ByClient, ById, Change, Selector
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_limit,
    a_session,
    an_event,
    fed,
    identifier,
    living,
    put,
    rotated,
    sign_in,
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

        async def end(selector: Selector) -> set[bytes]:
            ended = await stores.sessions.end(
                selector, EndReason.LOGOUT, an_event(), 10
            )
            return {entry.session_id for entry in ended}

        assert await end(ById(a_session(9).id)) == set()
        assert await end(ByClient("unknown")) == set()
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
        ended = await stores.sessions.end(
            ByAccount(identifier(1)), EndReason.LOGOUT, event, 10
        )
        entries = [row.ended(EndReason.LOGOUT, at).feed_entry() for row in rows]
        assert sorted(ended, key=_by_session) == entries
        assert await stores.sessions.load([row.id for row in rows]) == [
            row.ended(EndReason.LOGOUT, at) for row in rows
        ]
        feed = await stores.sessions.ended(None, at, FEED_PAGE)
        assert sorted(feed.entries, key=_by_session) == entries
        recorded = [event for _, event in await stores.audit.read(2, 10)]
        replace = msgspec.structs.replace
        assert sorted(recorded, key=lambda event: event.session_id or b"") == [
            replace(event, session_id=row.id, account_id=row.account_id) for row in rows
        ]

    async def test_end_is_idempotent_and_the_first_reason_stays(
        self, stores: Stores
    ) -> None:
        """Ending again changes nothing, returns nothing and records nothing."""
        row = a_session()
        await put(stores, row)
        await stores.sessions.end(
            ById(row.id), EndReason.LOGOUT, an_event(at=START), 10
        )
        for selector in (ById(row.id), ByAccount(row.account_id)):
            again = an_event(at=START + SECOND)
            assert (
                await stores.sessions.end(
                    selector, EndReason.SIGNED_IN_AGAIN, again, 10
                )
                == []
            )
        assert await stores.sessions.load([row.id]) == [
            row.ended(EndReason.LOGOUT, START)
        ]
        assert await stores.audit.last() == 2
        assert len(await fed(stores)) == 1

    async def test_end_goes_in_steps(self, stores: Stores) -> None:
        """A full step means that more may be left; a short step that none is left."""
        await put(stores, *(a_session(number) for number in range(5)))
        counts = []
        for _ in range(3):
            ended = await stores.sessions.end(
                ByAccount(identifier(1)), EndReason.LOGOUT_EVERYWHERE, an_event(), 2
            )
            counts.append(len(ended))
        assert counts == [2, 2, 1]
        assert await _alive(stores) == set()

    @pytest.mark.parametrize(
        "selector", [Before(START + 1), ByClient("first-party")], ids=repr
    )
    async def test_end_by_the_walk_goes_on_where_it_left_off(
        self, stores: Stores, selector: Before | ByClient
    ) -> None:
        """Steps over all sessions take the lowest ids first, and follow `after`."""
        rows = [a_session(number) for number in range(6)]
        await put(stores, *reversed(rows))
        first = await stores.sessions.end(
            selector, EndReason.LOGOUT_EVERYWHERE, an_event(), 2
        )
        assert _ids(first) == {row.id for row in rows[:2]}
        onward = msgspec.structs.replace(selector, after=rows[2].id)
        second = await stores.sessions.end(
            onward, EndReason.LOGOUT_EVERYWHERE, an_event(), 2
        )
        assert _ids(second) == {row.id for row in rows[3:5]}
        assert await _alive(stores) == {rows[2].id, rows[5].id}

    async def test_swap_begun_before_an_end_misses(self, stores: Stores) -> None:
        """A row loaded before an end, or before new roles, is not written after it."""
        for number, move in enumerate(("end", "roles")):
            row = a_session(number, account=number)
            await put(stores, row)
            if move == "end":
                await stores.sessions.end(
                    ById(row.id), EndReason.LOGOUT, an_event(), 10
                )
            else:
                await stores.sessions.assign_roles(row.account_id, ("admin",))
            assert await stores.sessions.swap([Change(row, rotated(row))]) == [False]

    async def test_new_session_ends_those_that_are_too_many(
        self, stores: Stores
    ) -> None:
        """Of the account's live ones those refreshed longest ago, with all of an end.

        Dead ones do not count, nor does the one that is replaced.
        """
        now = START + STRICT.refresh_idle
        replaced = a_session(1, now=now - 90)
        quiet, stale, busy = (a_session(n, now=now - 90 + n) for n in (2, 3, 4))
        expired, dead = a_session(5), a_session(6, now=now - 10)
        other, new = a_session(7, account=2, now=now - 10), a_session(8, now=now)
        await put(stores, replaced, quiet, stale, busy, expired, dead, other)
        used = rotated(quiet, now=now - 50)
        await stores.sessions.swap([Change(quiet, used)])
        await stores.sessions.end(ById(dead.id), EndReason.LOGOUT, an_event(at=now), 1)
        unlimited = await stores.sessions.create(a_session(9), sign_in(a_session(9)))
        assert unlimited == []
        last = await stores.audit.last()
        limit = a_limit(2, now=now, replaced=replaced.id)
        ended = await stores.sessions.create(new, sign_in(new), limit)
        gone = [one.ended(EndReason.SESSIONS_MAX, now) for one in (stale, busy)]
        assert ended == [one.feed_entry() for one in gone]
        assert await living(stores, now=now) == [new, other, used, replaced]
        assert await stores.sessions.load([stale.id, busy.id]) == gone
        assert set(ended) <= set(await fed(stores, now))
        recorded = [event for _, event in await stores.audit.read(last, 10)]
        assert sorted(recorded, key=lambda event: event.session_id or b"") == [
            *(
                msgspec.structs.replace(
                    limit.event, session_id=one.id, account_id=one.account_id
                )
                for one in gone
            ),
            sign_in(new),
        ]

    async def test_new_session_never_ends_by_its_own_limit(
        self, stores: Stores
    ) -> None:
        """Also where the clock was set back, and the others seem to be newer."""
        earlier = a_session(1, now=START + 60 * SECOND)
        new = a_session(2)
        await put(stores, earlier)
        ended = await stores.sessions.create(new, sign_in(new), a_limit(1))
        assert [entry.session_id for entry in ended] == [earlier.id]
        assert await living(stores) == [new]

    async def test_session_that_has_only_expired_is_ended_with_the_others(
        self, stores: Stores
    ) -> None:
        """A sign-in under a limit in between, long afterwards, does not hide it."""
        now = START + STRICT.refresh_idle + 2 * HOUR
        expired, new = a_session(1), a_session(2, now=now)
        await put(stores, expired)
        ended = await stores.sessions.create(new, sign_in(new), a_limit(2, now=now))
        assert ended == []
        everything = ByAccount(new.account_id)
        ended = await stores.sessions.end(
            everything, EndReason.LOGOUT_EVERYWHERE, an_event(at=now), 9
        )
        assert _ids(ended) == {expired.id, new.id}


def _ids(entries: Sequence[Ended]) -> set[bytes]:
    return {entry.session_id for entry in entries}


def _by_session(entry: Ended) -> bytes:
    return entry.session_id
