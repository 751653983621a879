"""Contract: any history of calls leaves a store as it leaves the memory store.

Hypothesis draws the histories. Where a store may choose (the order in which one call
ends sessions, how often a feed entry is read), the choice is not compared.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from watchword.core import limits
from watchword.core.session import Ended, Session
from watchword.errors import NameTaken
from watchword.ports import (
    Account,
    Change,
    Cursor,
    Event,
    EventType,
    OfAccount,
    OneSession,
    SignedInBefore,
    Store,
    Which,
)
from watchword.stores import open_store
from watchword.testing.stand_ins import ManualClock, SeededEntropy
from watchword.testing.store_contract.backend import Backend
from watchword.testing.store_contract.examples import (
    a_cost,
    a_key,
    a_session,
    an_account,
    an_event,
    identifier,
    rotated,
    sign_in,
)
from watchword.testing.store_contract.sessions import sweep_up

Result = TypeVar("Result")

SIZE: Final = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    # Not made smaller on failure: each attempt opens a store, for minutes in all, and
    # thirty steps can be read.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)

_accounts = st.integers(0, 2)
_picks = st.integers(0, 1000)
_names = st.sampled_from(["ada", "bob", "cyd"])
_keys = st.sampled_from(["name:ada", "address:203.0.113.7"])
_roles = st.lists(st.sampled_from(["reader", "writer", "admin"]), unique=True)
_steps = st.sampled_from(
    [
        *(1, limits.SECOND, limits.ACCESS_TTL - 1, limits.ACCESS_TTL, limits.DAY),
        *(limits.REFRESH_IDLE, limits.REFRESH_ABSOLUTE, -limits.HOUR),
    ]
)


class Reference:
    """The state machine, as one test."""

    def test_any_history_ends_as_in_the_reference(
        self, backend: Backend, tmp_path: Path
    ) -> None:
        """The same calls at the same instants give the same answers and state."""

        class Machine(SideBySide):
            def __init__(self) -> None:
                super().__init__(backend.url(Path(mkdtemp(dir=tmp_path))))

        run_state_machine_as_test(Machine, settings=SIZE)


class SideBySide(RuleBasedStateMachine):
    """Two stores, one clock, the same calls."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.stores: list[Store] = []
        self.sessions: list[Session] = []  # every row that there ever was
        self.accounts: list[Account] = []
        self.cursors: list[Cursor | None] = [None, None]
        self.learnt: list[set[Ended]] = [set(), set()]

    @initialize()
    def open(self) -> None:
        """The reference first."""
        for url in ("memory:", self.url):
            opening = open_store(url, SeededEntropy(url))
            self.stores.append(self.runner.run(opening))

    def teardown(self) -> None:
        """Let go of both."""
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()

    def each(self, verb: Callable[[Store], Awaitable[Result]]) -> list[Result]:
        """What the reference and the store answer."""

        async def call(store: Store) -> Result:
            return await verb(store)

        return [self.runner.run(call(store)) for store in self.stores]

    def same(self, verb: Callable[[Store], Awaitable[Result]]) -> Result:
        """Their one answer."""
        wanted, found = self.each(verb)
        assert found == wanted
        return wanted

    def pick(self, number: int, *, newest: bool) -> Session:
        """One of the rows that there were; the row as it is now, if wanted."""
        row = self.sessions[number % len(self.sessions)]
        if newest:
            (current,) = self.same(lambda store: store.load([row.id]))
            return current or row
        return row

    # sessions

    @rule(account=_accounts)
    def create(self, account: int) -> None:
        """A sign-in."""
        number = len(self.sessions)
        session = a_session(number, account=account, now=self.clock())
        self.same(lambda store: store.create(session, sign_in(session)))
        self.sessions.append(session)

    @precondition(lambda self: self.sessions)
    @rule(
        picks=st.lists(_picks, min_size=1, max_size=4),
        newest=st.booleans(),
        ending=st.booleans(),
    )
    def swap(self, picks: list[int], newest: bool, ending: bool) -> None:  # noqa: FBT001
        """Rotations, or reuse found; on rows that are current, or that were once."""
        rows = {row.id: row for row in (self.pick(n, newest=newest) for n in picks)}
        changes = []
        for row in rows.values():
            if row.revoked_at is not None:
                continue  # judged dead: nobody would swap it
            after = rotated(row, now=self.clock())
            event = None
            if ending:
                after = row.ended("reuse", self.clock())
                event = an_event(EventType.TOKEN_REUSE, of=row, at=self.clock())
            changes.append(Change(row, after, event))
        done = self.same(lambda store: store.swap(changes))
        written = [c.after for c, hit in zip(changes, done, strict=True) if hit]
        self.sessions.extend(written)

    def end(self, which: Which) -> None:
        """End in steps of two, as the engine does in steps of 500."""

        async def all_of_it(store: Store) -> set[Ended]:
            ended: list[Ended] = []
            rest = which
            while True:
                event = an_event(at=self.clock(), reason="end")
                step = await store.end(rest, "end", event, 2)
                ended += step
                if isinstance(rest, SignedInBefore) and step:
                    last = max(entry.session_id for entry in step)
                    rest = SignedInBefore(rest.instant, last)
                if len(step) < 2:
                    assert len(set(ended)) == len(ended)
                    return set(ended)

        self.same(all_of_it)

    @precondition(lambda self: self.sessions)
    @rule(number=_picks)
    def end_one(self, number: int) -> None:
        """Logout."""
        self.end(OneSession(self.pick(number, newest=False).id))

    @rule(account=_accounts)
    def end_all(self, account: int) -> None:
        """Logout everywhere."""
        self.end(OfAccount(identifier(account)))

    @precondition(lambda self: self.sessions)
    @rule(number=_picks)
    def end_all_but(self, number: int) -> None:
        """Logout everywhere else."""
        kept = self.pick(number, newest=False)
        self.end(OfAccount(kept.account_id, kept.id))

    @rule(ago=st.integers(0, 2 * limits.SECOND))
    def end_before(self, ago: int) -> None:
        """After the restoring of a backup."""
        self.end(SignedInBefore(self.clock() - ago))

    @rule(account=_accounts, roles=_roles)
    def assign_roles(self, account: int, roles: list[str]) -> None:
        """An account's roles change."""
        self.same(lambda store: store.assign_roles(identifier(account), tuple(roles)))

    @rule(by=_steps)
    def advance(self, by: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock.advance(by)

    @rule(retention=st.booleans())
    def sweep(self, retention: bool) -> None:  # noqa: FBT001
        """Keep house until nothing is left to do."""
        if retention:
            self.clock.advance(limits.AUDIT_RETENTION)
        self.same(lambda store: sweep_up(store, self.clock()))

    # accounts, throttle, keys, audit

    @rule(name=_names)
    def add_account(self, name: str) -> None:
        """A registration, of a name that may be taken."""
        account = an_account(name, len(self.accounts), created_at=self.clock())
        event = an_event(EventType.ACCOUNT_CREATED, at=self.clock())

        async def add(store: Store) -> bool:
            try:
                await store.add_account(account, event)
            except NameTaken:
                return False
            return True

        if self.same(add):
            self.accounts.append(account)

    @precondition(lambda self: self.accounts)
    @rule(number=_picks, roles=_roles, delete=st.booleans())
    def swap_account(
        self,
        number: int,
        roles: list[str],
        delete: bool,  # noqa: FBT001
    ) -> None:
        """A change or a deletion, of the account as it is or as it was."""
        before = self.accounts[number % len(self.accounts)]
        after = None
        if not delete:
            after = msgspec.structs.replace(
                before,
                roles=tuple(roles),
                epoch=before.epoch + 1,
                version=before.version + 1,
                disabled=not before.disabled,
            )
        event = an_event(EventType.ACCOUNT_CHANGED, at=self.clock())
        done = self.same(lambda store: store.swap_account(before, after, event))
        if done and after is not None:
            self.accounts.append(after)

    @rule(keys=st.lists(_keys, min_size=1, unique=True))
    def take(self, keys: list[str]) -> None:
        """An attempt to sign in."""
        costs = [a_cost(key) for key in keys]
        self.same(lambda store: store.take(costs, self.clock()))

    @rule(keys=st.lists(_keys, unique=True), forget=st.none() | _keys)
    def give_back(self, keys: list[str], forget: str | None) -> None:
        """One that succeeded, or was shed."""
        costs = [a_cost(key) for key in keys]
        self.same(lambda store: store.give_back(costs, forget=forget))

    @rule(stale=st.booleans(), size=st.integers(0, 3))
    def swap_keys(self, stale: bool, size: int) -> None:  # noqa: FBT001
        """A change of the key ring, by whoever read it or by somebody late."""
        revision, _ = self.same(lambda store: store.load_keys())
        keys = [a_key(n, "retired", now=self.clock() + n) for n in range(size)]
        event = an_event(EventType.KEY_CHANGED, at=self.clock())
        expected = revision - 1 if stale else revision
        self.same(lambda store: store.swap_keys(expected, keys, event))

    @rule(kind=st.sampled_from(EventType), flag=st.booleans())
    def record(self, kind: EventType, flag: bool) -> None:  # noqa: FBT001
        """An event on its own."""
        event = an_event(kind, at=self.clock(), flag=flag)
        self.same(lambda store: store.record(event))

    # reading

    @rule()
    def follow(self) -> None:
        """Two followers know the same after each read, whatever was read twice."""
        for place, store in enumerate(self.stores):
            reading = store.ended(self.cursors[place], self.clock())
            feed = self.runner.run(_awaited(reading))
            self.cursors[place] = feed.cursor
            self.learnt[place] |= set(feed.entries)
        assert self.learnt[0] == self.learnt[1]

    @precondition(lambda self: self.sessions)
    @rule(number=_picks, limit=st.integers(1, 3))
    def page(self, number: int, limit: int) -> None:
        """A page of an account's sessions, from somewhere."""
        row = self.pick(number, newest=False)
        self.same(
            lambda store: store.list_sessions(
                row.account_id, after=row.id if number % 2 else None, limit=limit
            )
        )

    @invariant()
    def agree(self) -> None:
        """All that can be read is equal."""
        if not self.stores:
            return
        ids = list({row.id for row in self.sessions})
        self.same(lambda store: store.load(ids))
        self.same(lambda store: store.list_sessions(None, limit=10_000))
        self.same(lambda store: store.list_accounts(limit=100))
        self.same(lambda store: store.load_keys())
        self.same(lambda store: store.last_event())
        wanted, found = self.each(lambda store: store.read_events(0, 10_000))
        assert [number for number, _ in found] == [number for number, _ in wanted]
        assert _counted(found) == _counted(wanted)
        fed, told = self.each(lambda store: store.ended(None, self.clock()))
        assert set(told.entries) == set(fed.entries)
        assert len(told.entries) == len(fed.entries)


async def _awaited(coming: Awaitable[Result]) -> Result:
    return await coming


def _counted(events: list[tuple[int, Event]]) -> Counter[Any]:
    """Events in no order: one call that ends many may choose it."""
    return Counter(msgspec.json.encode(event) for _, event in events)
