"""Contract: sessions, and what a swap writes.

Each test is one promise of `ports.SessionStore`.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from watchword.core.limits import (
    AUDIT_RETENTION,
    FEED_PAGE,
    HOUR,
    LIST_LOOK,
    SECOND,
    SWEEP_AFTER,
    SWEEP_LIMIT,
)
from watchword.core.session import STRICT, Alive, Ended, Policy, Session
from watchword.ports import Store
from watchword.ports.audit import EventType, SessionPage
from watchword.ports.sessions import Before, ByAccount, ByClient, ById, Change, Selector
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_cost,
    a_session,
    an_event,
    identifier,
    living,
    on_terms,
    rotated,
    sign_in,
)


async def put(store: Store, *sessions: Session) -> None:
    """Write new sessions, each with the event of its sign-in."""
    for session in sessions:
        await store.create(session, sign_in(session))


async def sweep_up(store: Store, now: int) -> int:
    """Sweep until two steps in a row delete nothing, and return how many were deleted.

    Two, because one step need not look at all rows.
    """
    swept = found = await store.sweep(now, SWEEP_LIMIT)
    quiet = 0
    while quiet < 2:
        found = await store.sweep(now, SWEEP_LIMIT)
        swept += found
        quiet = 0 if found else quiet + 1
    return swept


async def _alive(store: Store) -> set[bytes]:
    return {row.id for row in await living(store)}


class Sessions(OnAStore):
    """Create, load, swap, list, end and sweep sessions; change their roles."""

    async def test_created_session_is_loaded_as_it_was_written(
        self, store: Store
    ) -> None:
        """What is loaded equals what was created, field by field."""
        plain = a_session(1)
        odd = a_session(
            2,
            roles=(),
            address="",
            user_agent="\u03b1 ' \" \\ \U0001f511",
            generation=2**32 - 1,
            version=2**40,
            grace=10_000,
        )
        asked = on_terms(a_session(3))
        await put(store, plain, odd, asked)
        written = [plain, odd, asked]
        loaded = await store.load([row.id for row in written])
        # Compared as JSON too: there 1 differs from true.
        assert loaded == written
        assert msgspec.json.encode(loaded) == msgspec.json.encode(written)

    async def test_load_answers_in_the_order_asked(self, store: Store) -> None:
        """The answer has one place per id asked for, None for one that is not there."""
        one, two = a_session(1), a_session(2)
        await put(store, one, two)
        unknown = a_session(3).id
        asked = [two.id, unknown, one.id, two.id]
        assert await store.load(asked) == [two, None, one, two]
        assert await store.load([]) == []

    async def test_creation_is_recorded(self, store: Store) -> None:
        """A session and the event of its sign-in are written together."""
        session = a_session()
        await put(store, session)
        assert await store.read_events(0, 10) == [(1, sign_in(session))]

    async def test_swap_writes_the_successor_and_its_event(self, store: Store) -> None:
        """True means that the row is `after` and that its event is recorded."""
        before = on_terms(a_session())
        await put(store, before)
        after = rotated(before)
        event = an_event(EventType.TOKEN_REWOUND, of=before, by=2)
        assert await store.swap([Change(before, after, event)]) == [True]
        assert await store.load([before.id]) == [after]
        assert [event for _, event in await store.read_events(1, 10)] == [event]

    async def test_swap_without_an_event_records_none(self, store: Store) -> None:
        """An ordinary rotation leaves no audit record and no feed entry."""
        before = a_session()
        await put(store, before)
        await store.swap([Change(before, rotated(before))])
        assert await store.last_event() == 1
        assert (await store.ended(None, START, FEED_PAGE)).entries == []

    async def test_swap_that_revokes_is_in_the_feed(self, store: Store) -> None:
        """A session revoked by a swap, its feed entry and its event come together."""
        before = a_session()
        await put(store, before)
        after = before.ended("reuse", START + 5)
        event = an_event(EventType.TOKEN_REUSE, of=before)
        assert await store.swap([Change(before, after, event)]) == [True]
        assert await store.load([before.id]) == [after]
        entry = after.feed_entry()
        assert (await store.ended(None, START + 5, FEED_PAGE)).entries == [entry]
        assert await store.read_events(1, 10) == [(2, event)]

    async def test_swap_that_misses_writes_nothing(self, store: Store) -> None:
        """False means no row, no event and no feed entry of this change."""
        first = a_session()
        await put(store, first)
        second = rotated(first, by="winner")
        await store.swap([Change(first, second)])
        event = an_event(EventType.TOKEN_REUSE, of=first)
        late = [
            Change(first, rotated(first, by="loser"), event),
            Change(a_session(9), rotated(a_session(9)), event),
        ]
        assert await store.swap(late) == [False, False]
        revoking = Change(first, first.ended("reuse", START), event)
        assert await store.swap([revoking]) == [False]
        assert await store.load([first.id]) == [second]
        assert await store.last_event() == 1
        assert (await store.ended(None, START, FEED_PAGE)).entries == []

    async def test_each_change_of_a_swap_stands_alone(self, store: Store) -> None:
        """One change that misses takes none of its neighbours with it."""
        rows = [a_session(number) for number in range(5)]
        await put(store, *rows)
        await store.swap([Change(rows[2], rotated(rows[2], by="first"))])
        changes = [
            Change(row, rotated(row), an_event(EventType.TOKEN_REWOUND, of=row))
            for row in rows
        ]
        assert await store.swap(changes) == [True, True, False, True, True]
        wanted = [change.after for change in changes]
        wanted[2] = rotated(rows[2], by="first")
        assert await store.load([row.id for row in rows]) == wanted
        events = await store.read_events(5, 10)
        assert {event.session_id for _, event in events} == {
            row.id for row in rows if row is not rows[2]
        }
        assert await store.swap([]) == []

    async def test_list_is_newest_first_and_paged(self, store: Store) -> None:
        """Pages that follow one another have every live session of the account once."""
        mine = [a_session(number, account=1) for number in range(7)]
        others = [a_session(number, account=2) for number in range(7, 10)]
        await put(store, *mine, *others)
        newest_first = mine[::-1]
        sizes: list[int] = []
        listed: list[Session] = []
        after: bytes | None = None
        while after is not None or not sizes:
            page = await store.list_sessions(
                identifier(1), Alive.at(START, STRICT), after=after, limit=3, look=100
            )
            sizes.append(len(page.sessions))
            listed += page.sessions
            after = page.onward
        assert listed == newest_first
        assert sizes == [3, 3, 1]
        assert await living(store, identifier(1), limit=3) == newest_first
        assert await living(store) == others[::-1] + newest_first
        assert await living(store, identifier(3)) == []

    async def test_list_leaves_out_the_revoked_and_the_expired(
        self, store: Store
    ) -> None:
        """A session is over by its stored deadlines, or by those of today's policy."""
        now = START + 30 * SECOND
        policy = Policy(refresh_idle=20 * SECOND, refresh_absolute=25 * SECOND)
        begun, rotated_at = START + 5 * SECOND, now - 20 * SECOND
        rows = [
            a_session(1, now=now),
            a_session(2, now=now, idle_expires_at=now),
            a_session(3, now=now, expires_at=now),
            a_session(4, now=begun + 1, rotated_at=rotated_at),
            a_session(5, now=begun, rotated_at=now),
            a_session(6, now=begun + 1, rotated_at=rotated_at + 1),
            a_session(7, now=now, idle_expires_at=now + 1, expires_at=now + 1),
        ]
        await put(store, *rows)
        await store.end(ById(rows[0].id), "logout", an_event(), 10)
        alive = Alive.at(now, policy)
        assert [row for row in rows if now >= row.ends_at(policy)] == rows[1:5]
        for account_id in (identifier(1), None):
            page = await store.list_sessions(account_id, alive, limit=10, look=100)
            assert page == SessionPage([rows[6], rows[5]])

    async def test_list_finds_the_living_among_a_thousand_that_are_over(
        self, store: Store
    ) -> None:
        """One page has the newest and the oldest, however many are between them."""
        late = START + STRICT.refresh_idle
        oldest = a_session(0, rotated_at=late, idle_expires_at=late + HOUR)
        over = [a_session(number) for number in range(1, 1001)]
        newest = a_session(1001, now=late)
        await put(store, oldest, *over, newest)
        for account_id in (identifier(1), None):
            page = await store.list_sessions(
                account_id, Alive.at(late, STRICT), limit=10, look=LIST_LOOK
            )
            assert page == SessionPage([newest, oldest])

    async def test_list_looks_at_so_many_rows_and_no_more(self, store: Store) -> None:
        """A page may be empty: it says where the next one goes on, until the end."""
        alone = a_session(0)
        over = [a_session(number, rotated_at=0) for number in range(1, 51)]
        await put(store, alone, *over)
        alive = Alive.at(START, STRICT)
        page = await store.list_sessions(identifier(1), alive, limit=5, look=20)
        assert page == SessionPage([], over[-20].id)
        listed: list[Session] = []
        for _ in range(2):
            assert page.onward is not None
            page = await store.list_sessions(
                identifier(1), alive, after=page.onward, limit=5, look=20
            )
            listed += page.sessions
        assert (listed, page.onward) == ([alone], None)
        assert await living(store) == [alone]

    async def test_end_reaches_exactly_what_was_meant(self, store: Store) -> None:
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
        await put(store, *rows.values())

        async def end(which: Selector) -> set[bytes]:
            ended = await store.end(which, "test", an_event(), 10)
            return {entry.session_id for entry in ended}

        assert await end(ById(a_session(9).id)) == set()
        assert await end(ByClient("nobody")) == set()
        apps = {rows["app"].id, rows["app too"].id}
        assert await end(ByClient("mobile")) == apps
        assert await end(ByAccount(identifier(1), rows["kept"].id)) == {rows["mine"].id}
        assert await end(Before(START)) == {rows["old"].id}
        assert await end(ById(rows["other"].id)) == {rows["other"].id}
        assert await _alive(store) == {rows["kept"].id, rows["edge"].id}
        assert await end(ByAccount(identifier(2))) == {rows["edge"].id}

    async def test_end_writes_row_feed_and_event(self, store: Store) -> None:
        """Each session ended has its reason, one feed entry and one event."""
        rows = [a_session(1), a_session(2)]
        await put(store, *rows)
        at = START + 7
        event = an_event(at=at, reason="logout", by="user")
        ended = await store.end(ByAccount(identifier(1)), "logout", event, 10)
        entries = [row.ended("logout", at).feed_entry() for row in rows]
        assert sorted(ended, key=_by_session) == entries
        assert await store.load([row.id for row in rows]) == [
            row.ended("logout", at) for row in rows
        ]
        feed = await store.ended(None, at, FEED_PAGE)
        assert sorted(feed.entries, key=_by_session) == entries
        told = [event for _, event in await store.read_events(2, 10)]
        replace = msgspec.structs.replace
        assert sorted(told, key=lambda event: event.session_id or b"") == [
            replace(event, session_id=row.id, account_id=row.account_id) for row in rows
        ]

    async def test_end_is_idempotent_and_the_first_reason_stays(
        self, store: Store
    ) -> None:
        """Ending again changes nothing, returns nothing and records nothing."""
        row = a_session()
        await put(store, row)
        await store.end(ById(row.id), "logout", an_event(at=START), 10)
        for which in (ById(row.id), ByAccount(row.account_id)):
            again = an_event(at=START + SECOND)
            assert await store.end(which, "again", again, 10) == []
        assert await store.load([row.id]) == [row.ended("logout", START)]
        assert await store.last_event() == 2
        assert len((await store.ended(None, START, FEED_PAGE)).entries) == 1

    async def test_end_goes_in_steps(self, store: Store) -> None:
        """A full step means that more may be left; a short step that none is left."""
        await put(store, *(a_session(number) for number in range(5)))
        counts = []
        for _ in range(3):
            ended = await store.end(ByAccount(identifier(1)), "all", an_event(), 2)
            counts.append(len(ended))
        assert counts == [2, 2, 1]
        assert await _alive(store) == set()

    @pytest.mark.parametrize(
        "which", [Before(START + 1), ByClient("first-party")], ids=repr
    )
    async def test_end_by_the_walk_goes_on_where_it_left_off(
        self, store: Store, which: Before | ByClient
    ) -> None:
        """Steps over all sessions take the lowest ids first, and follow `after`."""
        rows = [a_session(number) for number in range(6)]
        await put(store, *reversed(rows))
        first = await store.end(which, "all", an_event(), 2)
        assert _ids(first) == {row.id for row in rows[:2]}
        onward = msgspec.structs.replace(which, after=rows[2].id)
        second = await store.end(onward, "all", an_event(), 2)
        assert _ids(second) == {row.id for row in rows[3:5]}
        assert await _alive(store) == {rows[2].id, rows[5].id}

    async def test_swap_begun_before_an_end_misses(self, store: Store) -> None:
        """A row loaded before an end, or before new roles, is not written after it."""
        for number, move in enumerate(("end", "roles")):
            row = a_session(number, account=number)
            await put(store, row)
            if move == "end":
                await store.end(ById(row.id), "logout", an_event(), 10)
            else:
                await store.assign_roles(row.account_id, ("admin",))
            assert await store.swap([Change(row, rotated(row))]) == [False]

    async def test_roles_reach_the_live_sessions_of_the_account(
        self, store: Store
    ) -> None:
        """New roles are in every live session of the account and in no other."""
        mine, dead, other = a_session(1), a_session(2), a_session(3, account=2)
        await put(store, mine, dead, other)
        await store.end(ById(dead.id), "logout", an_event(), 10)
        await store.assign_roles(identifier(1), ("admin", "writer"))
        now_mine, now_dead, now_other = await store.load([mine.id, dead.id, other.id])
        assert now_mine == msgspec.structs.replace(
            mine, roles=("admin", "writer"), version=1
        )
        assert now_dead == dead.ended("logout", START)
        assert now_other == other
        await store.assign_roles(identifier(1), ())
        (now_mine,) = await store.load([mine.id])
        assert now_mine is not None
        assert now_mine.roles == ()

    async def test_sweep_deletes_what_is_over_and_nothing_live(
        self, store: Store
    ) -> None:
        """A session is deleted SWEEP_AFTER after its idle deadline, revoked or not."""
        now = START + 100 * SWEEP_AFTER
        edge = now - SWEEP_AFTER
        live = a_session(1, idle_expires_at=now + 1)
        lately = a_session(2, idle_expires_at=edge)
        over = a_session(3, idle_expires_at=edge - 1)
        ended = a_session(4, idle_expires_at=edge - 1)
        await put(store, over, live, ended, lately)
        await store.end(ById(ended.id), "logout", an_event(at=now), 10)
        assert await sweep_up(store, now) >= 2
        rows = await store.load([live.id, lately.id, over.id, ended.id])
        assert rows == [live, lately, None, None]
        assert len((await store.ended(None, now, FEED_PAGE)).entries) == 1

    async def test_sweep_goes_in_steps(self, store: Store) -> None:
        """No step deletes more sessions than its limit; the steps delete them all."""
        old = START - 2 * SWEEP_AFTER
        rows = [a_session(number, idle_expires_at=old) for number in range(10)]
        await put(store, *rows)
        left = [10]
        while left[-1]:
            await store.sweep(START, 3)
            loaded = await store.load([row.id for row in rows])
            left.append(sum(row is not None for row in loaded))
            assert left[-2] - left[-1] <= 3
            assert len(left) < 20

    async def test_sweep_empties_feed_throttle_and_audit(self, store: Store) -> None:
        """Feed entries past `until`, and records past their retention, are deleted."""
        row, kept = a_session(1), a_session(2)
        await put(store, row)
        await store.end(ById(row.id), "logout", an_event(at=START), 10)
        await store.take([a_cost()], START)
        until = row.ended("logout", START).feed_entry().until
        await sweep_up(store, until - 1)
        assert len((await store.ended(None, until - 1, FEED_PAGE)).entries) == 1
        await sweep_up(store, until)
        assert (await store.ended(None, until, FEED_PAGE)).entries == []
        later = START + AUDIT_RETENTION
        await sweep_up(store, later)
        assert len(await store.read_events(0, 10)) == 2
        await sweep_up(store, later + 1)
        assert await store.read_events(0, 10) == []
        # A sequence number is never used twice, so a follower misses no entry.
        await put(store, kept)
        assert await store.last_event() == 3
        assert await store.read_events(2, 10) == [(3, sign_in(kept))]


def _ids(entries: Sequence[Ended]) -> set[bytes]:
    return {entry.session_id for entry in entries}


def _by_session(entry: Ended) -> bytes:
    return entry.session_id
