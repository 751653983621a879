"""Contract: atomicity, with callers that really run at the same time.

Each caller has a store, a thread and an event loop of its own (`backend.Crowd`).
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from watchword.core.limits import FEED_PAGE
from watchword.core.session import Session
from watchword.errors import NameTaken
from watchword.ports import Store
from watchword.ports.audit import EventType
from watchword.ports.sessions import ByAccount, ById, Change
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import (
    a_client,
    a_cost,
    a_key,
    a_session,
    an_account,
    an_event,
    identifier,
    rotated,
)
from watchword.testing.store_contract.sessions import put

CALLERS = 4
TASKS = 4


class Parallel(OnAStore):
    """Of callers that race, one is first, and the return value tells each which."""

    async def test_each_version_is_swapped_by_one_caller(
        self, store: Store, crowd: Crowd
    ) -> None:
        """Of all swaps of one version exactly one returns True, and its row is kept."""
        row, versions = a_session(), 60
        await put(store, row)

        def caller(name: int) -> Job[list[Session]]:
            async def job(store: Store) -> list[Session]:
                made = await asyncio.gather(
                    *(
                        _race(store, row.id, versions, f"{name}.{n}")
                        for n in range(TASKS)
                    )
                )
                return [session for sessions in made for session in sessions]

            return job

        made = await crowd.run([caller(name) for name in range(CALLERS)])
        won = [session for sessions in made for session in sessions]
        counts = Counter(session.version for session in won)
        assert counts == Counter(range(1, versions + 1))
        last = max(won, key=lambda session: session.version)
        assert await store.load([row.id]) == [last]
        # A swap writes its event once for each True, so events and rows agree.
        events = await store.read_events(1, 1000)
        assert len(events) == versions

    async def test_nobody_survives_an_end(self, store: Store, crowd: Crowd) -> None:
        """However swaps and ends interleave, every session is ended, exactly once."""
        rows = [a_session(number) for number in range(24)]
        await put(store, *rows)

        async def swapper(store: Store) -> list[Session]:
            made = await asyncio.gather(
                *(_race(store, r.id, 999, "swap") for r in rows)
            )
            return [session for sessions in made for session in sessions]

        async def ender(store: Store) -> list[Session]:
            for row in rows[:12]:
                await store.end(ById(row.id), "logout", an_event(), 1)
            while await store.end(ByAccount(identifier(1)), "all", an_event(), 5):
                pass
            return []

        made, *_ = await crowd.run([swapper, swapper, ender, ender])
        found = await store.load([row.id for row in rows])
        assert all(row is not None and row.revoked_at is not None for row in found)
        final = {row.id: row.version for row in found if row is not None}
        assert all(session.version < final[session.id] for session in made)
        feed = await store.ended(None, START, FEED_PAGE)
        assert Counter(entry.session_id for entry in feed.entries) == Counter(
            list(final)
        )
        revoked = [
            event.session_id
            for _, event in await store.read_events(0, 1_000_000)
            if event.type is EventType.SESSION_REVOKED
        ]
        assert sorted(revoked, key=str) == sorted(final, key=str)

    async def test_throttle_never_exceeds_its_burst(self, crowd: Crowd) -> None:
        """Of parallel attempts no more than the burst are allowed."""
        cost = a_cost(burst=10)

        async def attempts(store: Store) -> list[int]:
            return await asyncio.gather(*(store.take([cost], START) for _ in range(10)))

        waits = await crowd.run([attempts] * CALLERS)
        assert sum(wait == 0 for share in waits for wait in share) == 10

    async def test_one_of_many_gets_the_name(self, store: Store, crowd: Crowd) -> None:
        """Of several accounts of one name that are added at once, one is added."""

        def registrant(number: int) -> Job[bool]:
            async def job(store: Store) -> bool:
                account = an_account("ada", number)
                try:
                    await store.add_account(
                        account, an_event(EventType.ACCOUNT_CREATED)
                    )
                except NameTaken:
                    return False
                return True

            return job

        won = await crowd.run([registrant(number) for number in range(CALLERS)])
        assert sum(won) == 1
        kept = await store.account_by_name("ada")
        assert kept == an_account("ada", won.index(True))
        assert await store.last_event() == 1

    async def test_one_of_many_changes_the_account(
        self, store: Store, crowd: Crowd
    ) -> None:
        """Of parallel changes to one version of an account, one is written."""
        before = an_account()
        await store.add_account(before, an_event(EventType.ACCOUNT_CREATED))

        def changer(number: int) -> Job[bool]:
            after = msgspec.structs.replace(before, version=1, epoch=number)
            event = an_event(EventType.ACCOUNT_CHANGED)
            return lambda store: store.swap_account(before, after, event)

        won = await crowd.run([changer(number) for number in range(CALLERS)])
        assert sum(won) == 1
        kept = await store.account_by_id(before.id)
        assert kept is not None
        assert kept.epoch == won.index(True)
        assert await store.last_event() == 2

    async def test_one_of_many_changes_the_client(
        self, store: Store, crowd: Crowd
    ) -> None:
        """Of secrets that several processes make at once for a client, one is kept."""
        before = a_client()
        await store.add_client(before, an_event(EventType.CLIENT_CREATED))

        def changer(number: int) -> Job[bool]:
            after = msgspec.structs.replace(
                before, version=1, secret_hash=bytes([number])
            )
            event = an_event(EventType.CLIENT_CHANGED)
            return lambda store: store.swap_client(before, after, event)

        won = await crowd.run([changer(number) for number in range(CALLERS)])
        assert sum(won) == 1
        winner = bytes([won.index(True)])
        kept = msgspec.structs.replace(before, version=1, secret_hash=winner)
        assert await store.load_client(before.id) == kept
        assert await store.last_event() == 2

    async def test_one_of_many_uses_a_key(self, crowd: Crowd) -> None:
        """Of all calls that use a key at once exactly one gets True, for each key."""
        keys = [b"key %d" % number for number in range(40)]

        async def user(store: Store) -> list[bool]:
            using = [
                store.use_once([(key, START), (key + b"!", START)])
                for key in keys
                for _ in range(TASKS)
            ]
            # The two keys of a call are used together: the caller that is first for
            # one is first for the other.
            answers = await asyncio.gather(*using)
            assert {tuple(pair) for pair in answers} <= {(True, True), (False, False)}
            return [pair[0] for pair in answers]

        answers = await crowd.run([user] * CALLERS)
        first = Counter(
            keys[place // TASKS]
            for share in answers
            for place, used in enumerate(share)
            if used
        )
        assert first == Counter(keys)

    async def test_one_of_many_makes_the_key_ring(
        self, store: Store, crowd: Crowd
    ) -> None:
        """Of the first key rings that several processes make at once, one is kept."""

        def maker(number: int) -> Job[bool]:
            event = an_event(EventType.KEY_CHANGED)
            return lambda store: store.swap_keys(0, [a_key(number)], event)

        won = await crowd.run([maker(number) for number in range(CALLERS)])
        assert sum(won) == 1
        assert await store.load_keys() == (1, [a_key(won.index(True))])
        assert await store.last_event() == 1


async def _race(
    store: Store, session_id: bytes, versions: int, name: str
) -> Sequence[Session]:
    """Swap a session again and again, until it has so many versions or has ended.

    Returns the rows that this caller has written.
    """
    won: list[Session] = []
    while True:
        (row,) = await store.load([session_id])
        if row is None or row.revoked_at is not None or row.version >= versions:
            return won
        after = rotated(row, by=name)
        event = an_event(EventType.TOKEN_REWOUND, of=row, to=after.generation)
        (done,) = await store.swap([Change(row, after, event)])
        if done:
            won.append(after)
