"""Contract: after any history of calls a store has the same state as the memory store.

Hypothesis draws the histories. What a store may choose (the order in which one call
ends sessions, how often a feed entry is read) is not compared.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE
from watchword.core.session import STRICT, Alive, Ended, Session
from watchword.ports import Stores
from watchword.ports.audit import Event, EventType
from watchword.ports.sessions import (
    Before,
    ByAccount,
    ByClient,
    ById,
    Change,
    Cursor,
    Selector,
    SessionExists,
)
from watchword.testing.store_contract.backend import Backend, Place
from watchword.testing.store_contract.credential_rules import CredentialRules
from watchword.testing.store_contract.examples import (
    OPTIONS,
    a_limit,
    a_proof,
    a_session,
    an_event,
    fed,
    identifier,
    living,
    rotated,
    sign_in,
    with_options,
)

Result = TypeVar("Result")

SIZE: Final = settings(
    stateful_step_count=30,
    deadline=None,
    # Failing histories are not shrunk. Each attempt opens a store, which would take
    # minutes in all, and a history of thirty steps can be read as it is.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)

_accounts = st.integers(0, 2)
_picks = st.integers(0, 1000)
_roles = st.lists(st.sampled_from(["reader", "writer", "admin"]), unique=True)
_steps = st.sampled_from(
    [
        *(1, limits.SECOND, limits.ACCESS_TTL - 1, limits.ACCESS_TTL, limits.DAY),
        *(limits.REFRESH_IDLE, limits.REFRESH_ABSOLUTE, -limits.HOUR),
    ]
)


class Reference:
    """Runs the state machine as one test."""

    def test_any_history_ends_as_in_the_reference(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        """The same calls at the same instants give the same answers and state."""

        class Machine(Histories):
            def __init__(self) -> None:
                super().__init__(backend.place(Path(mkdtemp(dir=tmp_path))))

        size = settings(SIZE, max_examples=backend.histories)
        run_state_machine_as_test(Machine, settings=size)


class Histories(CredentialRules):
    """Random calls about sessions; after each, both stores must show the same."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.sessions: list[Session] = []  # every version of every row so far
        self.cursors: list[Cursor | None] = [None, None]
        self.known: list[set[Ended]] = [set(), set()]

    def pick(self, number: int, *, newest: bool) -> Session:
        """One of the versions so far; with `newest`, the row as it is now."""
        row = self.sessions[number % len(self.sessions)]
        if newest:
            (current,) = self.same(lambda stores: stores.sessions.load([row.id]))
            return current or row
        return row

    # sessions

    @rule(
        account=_accounts,
        plain=st.booleans(),
        most=st.none() | st.integers(1, 3),
        joins=st.none() | _picks,
    )
    def create(
        self,
        account: int,
        plain: bool,  # noqa: FBT001 - what is drawn is passed by name
        most: int | None,
        joins: int | None,
    ) -> None:
        """A sign-in, plain or with every option, alone or from another, limited."""
        if most is not None:
            # Of groups refreshed at one instant, stores may end the new one or another.
            self.clock.advance(1)
        number = len(self.sessions)
        session = a_session(number, account=account, now=self.clock())
        if not plain:
            session = with_options(session)
        if joins is not None and self.sessions:
            root = self.pick(joins, newest=False)
            session = msgspec.structs.replace(
                session, account_id=root.account_id, started_from=root.group
            )
        limit = None if most is None else a_limit(most, now=self.clock())
        self.same(
            lambda stores: stores.sessions.create(session, sign_in(session), limit)
        )
        self.sessions.append(session)

    @precondition(lambda self: self.sessions)
    @rule(
        picks=st.lists(_picks, min_size=1, max_size=4),
        newest=st.booleans(),
        how=st.sampled_from(["rotate", "prove", "end"]),
    )
    def swap(self, picks: list[int], newest: bool, how: str) -> None:  # noqa: FBT001
        """Rotations, step-ups, or ends for reuse. The versions may be stale ones."""
        rows = {row.id: row for row in (self.pick(n, newest=newest) for n in picks)}
        changes = []
        for row in rows.values():
            if row.revoked_at is not None:
                continue  # the engine never swaps a session that has ended
            after = rotated(row, now=self.clock())
            event = None
            if how == "prove":
                after = after.proved(a_proof(of=row, at=self.clock()))
            if how == "end":
                after = row.ended(EndReason.REUSE, self.clock())
                event = an_event(EventType.TOKEN_REUSE, of=row, at=self.clock())
            changes.append(Change(row, after, event))
        done = self.same(lambda stores: stores.sessions.swap(changes))
        written = [c.after for c, hit in zip(changes, done, strict=True) if hit]
        self.sessions.extend(written)

    def end(self, selector: Selector) -> None:
        """End sessions in steps of two; the engine does it in steps of 500."""

        async def all_of_it(stores: Stores) -> set[Ended]:
            ended: list[Ended] = []
            rest = selector
            while True:
                event = an_event(at=self.clock(), reason="end")
                step = await stores.sessions.end(rest, EndReason.LOGOUT, event, 2)
                ended += step
                if isinstance(rest, Before | ByClient) and step:
                    last = max(entry.session_id for entry in step)
                    rest = msgspec.structs.replace(rest, after=last)
                if len(step) < 2:
                    assert len(set(ended)) == len(ended)
                    return set(ended)

        self.same(all_of_it)

    @precondition(lambda self: self.sessions)
    @rule(number=_picks)
    def end_one(self, number: int) -> None:
        """A logout."""
        self.end(ById(self.pick(number, newest=False).id))

    @rule(account=_accounts)
    def end_all(self, account: int) -> None:
        """A logout everywhere."""
        self.end(ByAccount(identifier(account)))

    @precondition(lambda self: self.sessions)
    @rule(number=_picks)
    def end_all_but(self, number: int) -> None:
        """A logout everywhere else: one group of the account is kept."""
        kept = self.pick(number, newest=False)
        self.end(ByAccount(kept.account_id, kept.group))

    @precondition(lambda self: self.sessions)
    @rule(number=_picks, limited=st.booleans())
    def create_again(self, number: int, limited: bool) -> None:  # noqa: FBT001
        """A code is redeemed for the second time."""
        row = self.pick(number, newest=False)
        # Not the very same row: a store may take that for a repeat of its own write.
        again = a_session(0, id=row.id, account_id=row.account_id, version=7)
        limit = a_limit(1, now=self.clock()) if limited else None
        if self.same(lambda stores: stores.sessions.load([row.id])) == [None]:
            return  # swept meanwhile

        async def create(stores: Stores) -> bool:
            try:
                await stores.sessions.create(again, sign_in(again), limit)
            except SessionExists:
                return False
            return True

        assert not self.same(create)

    @rule(ago=st.integers(0, 2 * limits.SECOND))
    def end_before(self, ago: int) -> None:
        """End the sessions from before an instant, as after a restored backup."""
        self.end(Before(self.clock() - ago))

    @rule(client_id=st.sampled_from(["first-party", OPTIONS.client_id]))
    def end_of_client(self, client_id: str) -> None:
        """End a client's sessions, as after it was disabled."""
        self.end(ByClient(client_id))

    @rule(account=_accounts, roles=_roles)
    def assign_roles(self, account: int, roles: list[str]) -> None:
        """An account's roles change."""
        self.same(
            lambda stores: stores.sessions.assign_roles(
                identifier(account), tuple(roles)
            )
        )

    @rule(by=_steps)
    def advance(self, by: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock.advance(by)

    # reading

    @rule()
    def follow(self) -> None:
        """A follower of each store knows the same entries after each read.

        Entries that a follower reads twice do not matter.
        """
        for place, stores in enumerate(self.pair):
            reading = stores.sessions.ended(
                self.cursors[place], self.clock(), FEED_PAGE
            )
            feed = self.runner.run(_awaited(reading))
            self.cursors[place] = feed.cursor
            self.known[place] |= set(feed.entries)
        assert self.known[0] == self.known[1]

    @precondition(lambda self: self.sessions)
    @rule(number=_picks, limit=st.integers(1, 3))
    def page(self, number: int, limit: int) -> None:
        """A page of an account's sessions, from the start or behind some session."""
        row = self.pick(number, newest=False)
        alive = Alive.at(self.clock(), STRICT)
        after = row.id if number % 2 else None
        pages = self.each(
            lambda stores: stores.sessions.list(
                row.account_id, alive, after=after, limit=limit, look=limits.LIST_LOOK
            )
        )
        assert pages[1].sessions == pages[0].sessions

    @invariant()
    def agree(self) -> None:
        """Everything that can be read is equal in both stores."""

        async def entries(stores: Stores) -> Counter[Ended]:
            return Counter(await fed(stores, self.clock()))

        if not self.pair:
            return
        ids = list({row.id for row in self.sessions})
        self.same(lambda stores: stores.sessions.load(ids))
        self.same(lambda stores: living(stores, now=self.clock()))
        self.same(lambda stores: stores.accounts.list(limit=100))
        self.same(
            lambda stores: stores.accounts.search("", role="admin", limit=99, look=99)
        )
        self.same(self.all_waiting)
        self.same(self.all_credentials)
        self.same(self.all_consents)
        self.same(lambda stores: stores.clients.list(limit=100))
        self.same(lambda stores: stores.keys.load())
        self.same(lambda stores: stores.audit.last())
        wanted, found = self.each(lambda stores: stores.audit.read(0, 10_000))
        assert [number for number, _ in found] == [number for number, _ in wanted]
        assert _counted(found) == _counted(wanted)
        self.same(entries)


async def _awaited(coming: Awaitable[Result]) -> Result:
    return await coming


def _counted(events: list[tuple[int, Event]]) -> Counter[Any]:
    """The events without their order: a call that ends many may choose the order."""
    return Counter(msgspec.json.encode(event) for _, event in events)
