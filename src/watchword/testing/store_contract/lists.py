"""Contract: lists of sessions, a page at a time."""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from watchword.core.actor import EndReason
from watchword.core.limits import HOUR, LIST_LOOK, SECOND
from watchword.core.session import STRICT, Alive, Policy, Session
from watchword.ports import Stores
from watchword.ports.sessions import ById, SessionPage
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
    a_session,
    an_event,
    identifier,
    living,
    put,
)


class Lists(OnAStore):
    """What a list of sessions has, and how far it looks."""

    async def test_list_is_newest_first_and_paged(self, stores: Stores) -> None:
        """Pages that follow one another have every live session of the account once."""
        mine = [a_session(number, account=1) for number in range(7)]
        others = [a_session(number, account=2) for number in range(7, 10)]
        await put(stores, *mine, *others)
        newest_first = mine[::-1]
        sizes: list[int] = []
        listed: list[Session] = []
        after: bytes | None = None
        while after is not None or not sizes:
            page = await stores.sessions.list(
                identifier(1), Alive.at(START, STRICT), after=after, limit=3, look=100
            )
            sizes.append(len(page.sessions))
            listed += page.sessions
            after = page.onward
        assert listed == newest_first
        assert sizes == [3, 3, 1]
        assert await living(stores, identifier(1), limit=3) == newest_first
        assert await living(stores) == others[::-1] + newest_first
        assert await living(stores, identifier(3)) == []

    async def test_list_leaves_out_the_revoked_and_the_expired(
        self, stores: Stores
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
        await put(stores, *rows)
        await stores.sessions.end(ById(rows[0].id), EndReason.LOGOUT, an_event(), 10)
        alive = Alive.at(now, policy)
        assert [row for row in rows if now >= row.ends_at(policy)] == rows[1:5]
        for account_id in (identifier(1), None):
            page = await stores.sessions.list(account_id, alive, limit=10, look=100)
            assert page == SessionPage([rows[6], rows[5]])

    async def test_list_finds_the_living_among_a_thousand_that_are_over(
        self, stores: Stores
    ) -> None:
        """One page has the newest and the oldest, however many are between them."""
        late = START + STRICT.refresh_idle
        oldest = a_session(0, rotated_at=late, idle_expires_at=late + HOUR)
        over = [a_session(number) for number in range(1, 1001)]
        newest = a_session(1001, now=late)
        await put(stores, oldest, *over, newest)
        for account_id in (identifier(1), None):
            page = await stores.sessions.list(
                account_id, Alive.at(late, STRICT), limit=10, look=LIST_LOOK
            )
            assert page == SessionPage([newest, oldest])

    async def test_list_looks_at_so_many_rows_and_no_more(self, stores: Stores) -> None:
        """A page may be empty: it says where the next one goes on, until the end."""
        alone = a_session(0)
        over = [a_session(number, rotated_at=0) for number in range(1, 51)]
        await put(stores, alone, *over)
        alive = Alive.at(START, STRICT)
        page = await stores.sessions.list(identifier(1), alive, limit=5, look=20)
        assert page == SessionPage([], over[-20].id)
        listed: list[Session] = []
        for _ in range(2):
            assert page.onward is not None
            page = await stores.sessions.list(
                identifier(1), alive, after=page.onward, limit=5, look=20
            )
            listed += page.sessions
        assert (listed, page.onward) == ([alone], None)
        assert await living(stores) == [alone]

    async def test_list_of_a_client_has_its_sessions_alone(
        self, stores: Stores
    ) -> None:
        """Of an account or of all, however few there are among others."""
        rows = [
            a_session(
                number,
                account=number % 2,
                client_id="app" if number % 10 in {0, 3} else "other",
            )
            for number in range(40)
        ]
        await put(stores, *rows)
        alive = Alive.at(START, STRICT)
        for account in (None, identifier(1)):
            for client_id in ("app", "other", "ap", "\0", "\ud800"):
                listed: list[Session] = []
                after: bytes | None = None
                while True:
                    page = await stores.sessions.list(
                        account,
                        alive,
                        after=after,
                        limit=3,
                        look=7,
                        client_id=client_id,
                    )
                    assert len(page.sessions) <= 3
                    listed += page.sessions
                    after = page.onward
                    if after is None:
                        break
                assert listed == [
                    row
                    for row in rows[::-1]
                    if account in {None, row.account_id} and row.client_id == client_id
                ]
