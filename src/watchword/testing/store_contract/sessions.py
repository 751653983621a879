"""Contract: sessions, and what a swap writes.

Each test is one promise of `ports.SessionStore`.
"""

# ruff: noqa: S101 - a test suite: assertions over literal expectations

from __future__ import annotations

import msgspec

from watchword.core.actor import EndReason
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.sessions import ById, Change
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_proof,
    a_session,
    an_event,
    fed,
    identifier,
    living,
    put,
    rotated,
    sign_in,
    with_options,
)


class Sessions(OnAStore):
    """Create, load and swap sessions; change their roles."""

    async def test_created_session_is_loaded_as_it_was_written(
        self, stores: Stores
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
        asked = with_options(a_session(3))
        await put(stores, plain, odd, asked)
        written = [plain, odd, asked]
        loaded = await stores.sessions.load([row.id for row in written])
        # Compared as JSON too: there 1 differs from true.
        assert loaded == written
        assert msgspec.json.encode(loaded) == msgspec.json.encode(written)

    async def test_load_answers_in_the_order_asked(self, stores: Stores) -> None:
        """The answer has one place per id asked for, None for one that is not there."""
        one, two = a_session(1), a_session(2)
        await put(stores, one, two)
        unknown = a_session(3).id
        asked = [two.id, unknown, one.id, two.id]
        assert await stores.sessions.load(asked) == [two, None, one, two]
        assert await stores.sessions.load([]) == []

    async def test_creation_is_recorded(self, stores: Stores) -> None:
        """A session and the event of its sign-in are written together."""
        session = a_session()
        await put(stores, session)
        assert await stores.audit.read(0, 10) == [(1, sign_in(session))]

    async def test_swap_writes_the_successor_and_its_event(
        self, stores: Stores
    ) -> None:
        """True means that the row is `after` and that its event is recorded."""
        before = with_options(a_session())
        await put(stores, before)
        after = rotated(before)
        event = an_event(EventType.TOKEN_REWOUND, of=before, by=2)
        assert await stores.sessions.swap([Change(before, after, event)]) == [True]
        assert await stores.sessions.load([before.id]) == [after]
        assert [event for _, event in await stores.audit.read(1, 10)] == [event]

    async def test_swap_without_an_event_records_none(self, stores: Stores) -> None:
        """An ordinary rotation leaves no audit record and no feed entry."""
        before = a_session()
        await put(stores, before)
        await stores.sessions.swap([Change(before, rotated(before))])
        assert await stores.audit.last() == 1
        assert await fed(stores) == []

    async def test_swap_writes_what_was_proved(self, stores: Stores) -> None:
        """By itself, with a rotation and beside others, alive or ending."""
        rows = [a_session(number) for number in range(4)]
        await put(stores, *rows)
        proved = [row.proved(a_proof(of=row, at=START + 1000)) for row in rows]
        changes = [
            Change(rows[0], msgspec.structs.replace(proved[0], version=1)),
            Change(rows[1], rotated(proved[1])),
            Change(rows[2], rotated(rows[2])),
            Change(rows[3], rows[3].ended(EndReason.REUSE, START)),
        ]
        assert await stores.sessions.swap(changes) == [True] * 4
        after = [change.after for change in changes]
        assert await stores.sessions.load([row.id for row in rows]) == after
        assert await stores.sessions.swap(changes[:1]) == [False]
        later = rotated(after[0])  # a rotation leaves it as it is
        assert await stores.sessions.swap([Change(after[0], later)]) == [True]
        assert await living(stores, limit=9) == [rotated(rows[2]), after[1], later]

    async def test_swap_that_revokes_is_in_the_feed(self, stores: Stores) -> None:
        """A session revoked by a swap, its feed entry and its event come together."""
        before = a_session()
        await put(stores, before)
        after = before.ended(EndReason.REUSE, START + 5)
        event = an_event(EventType.TOKEN_REUSE, of=before)
        assert await stores.sessions.swap([Change(before, after, event)]) == [True]
        assert await stores.sessions.load([before.id]) == [after]
        entry = after.feed_entry()
        assert await fed(stores, START + 5) == [entry]
        assert await stores.audit.read(1, 10) == [(2, event)]

    async def test_swap_that_misses_writes_nothing(self, stores: Stores) -> None:
        """False means no row, no event and no feed entry of this change."""
        first = a_session()
        await put(stores, first)
        second = rotated(first, by="winner")
        await stores.sessions.swap([Change(first, second)])
        event = an_event(EventType.TOKEN_REUSE, of=first)
        late = [
            Change(first, rotated(first, by="loser"), event),
            Change(a_session(9), rotated(a_session(9)), event),
        ]
        assert await stores.sessions.swap(late) == [False, False]
        revoking = Change(first, first.ended(EndReason.REUSE, START), event)
        assert await stores.sessions.swap([revoking]) == [False]
        assert await stores.sessions.load([first.id]) == [second]
        assert await stores.audit.last() == 1
        assert await fed(stores) == []

    async def test_each_change_of_a_swap_stands_alone(self, stores: Stores) -> None:
        """One change that misses takes none of its neighbours with it."""
        rows = [a_session(number) for number in range(5)]
        await put(stores, *rows)
        await stores.sessions.swap([Change(rows[2], rotated(rows[2], by="first"))])
        changes = [
            Change(row, rotated(row), an_event(EventType.TOKEN_REWOUND, of=row))
            for row in rows
        ]
        assert await stores.sessions.swap(changes) == [True, True, False, True, True]
        wanted = [change.after for change in changes]
        wanted[2] = rotated(rows[2], by="first")
        assert await stores.sessions.load([row.id for row in rows]) == wanted
        events = await stores.audit.read(5, 10)
        assert {event.session_id for _, event in events} == {
            row.id for row in rows if row is not rows[2]
        }
        assert await stores.sessions.swap([]) == []

    async def test_roles_reach_the_live_sessions_of_the_account(
        self, stores: Stores
    ) -> None:
        """New roles are in every live session of the account and in no other."""
        mine, dead, other = a_session(1), a_session(2), a_session(3, account=2)
        await put(stores, mine, dead, other)
        await stores.sessions.end(ById(dead.id), EndReason.LOGOUT, an_event(), 10)
        await stores.sessions.assign_roles(identifier(1), ("admin", "writer"))
        now_mine, now_dead, now_other = await stores.sessions.load(
            [mine.id, dead.id, other.id]
        )
        assert now_mine == msgspec.structs.replace(
            mine, roles=("admin", "writer"), version=1
        )
        assert now_dead == dead.ended(EndReason.LOGOUT, START)
        assert now_other == other
        await stores.sessions.assign_roles(identifier(1), ())
        (now_mine,) = await stores.sessions.load([mine.id])
        assert now_mine is not None
        assert now_mine.roles == ()
