"""Contract: atomicity, with callers that really run at the same time.

Each caller has a store, a thread and an event loop of its own (`backend.Crowd`).
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE
from watchword.core.session import STRICT, Alive, Session
from watchword.errors import NameTaken
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.sessions import ByAccount, ById, Change
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import (
    a_client,
    a_cost,
    a_key,
    a_limit,
    a_session,
    a_trail,
    an_account,
    an_event,
    identifier,
    put,
    rotated,
    sign_in,
)

CALLERS = 4
TASKS = 4


class Parallel(OnAStore):
    """Of callers that race, one is first, and the return value tells each which."""

    async def test_each_version_is_swapped_by_one_caller(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of all swaps of one version exactly one returns True, and its row is kept."""
        row, versions = a_session(), 60
        await put(stores, row)

        def caller(name: int) -> Job[list[Session]]:
            async def job(stores: Stores) -> list[Session]:
                made = await asyncio.gather(
                    *(
                        _race(stores, row.id, versions, f"{name}.{n}")
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
        assert await stores.sessions.load([row.id]) == [last]
        # A swap writes its event once for each True, so events and rows agree.
        events = await stores.audit.read(1, 1000)
        assert len(events) == versions

    async def test_no_session_survives_an_end(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """However swaps and ends interleave, every session is ended, exactly once."""
        rows = [a_session(number) for number in range(24)]
        await put(stores, *rows)

        async def swapper(stores: Stores) -> list[Session]:
            made = await asyncio.gather(
                *(_race(stores, r.id, 999, "swap") for r in rows)
            )
            return [session for sessions in made for session in sessions]

        async def ender(stores: Stores) -> list[Session]:
            for row in rows[:12]:
                await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
            while await stores.sessions.end(
                ByAccount(identifier(1)), EndReason.LOGOUT_EVERYWHERE, an_event(), 5
            ):
                pass
            return []

        made, *_ = await crowd.run([swapper, swapper, ender, ender])
        found = await stores.sessions.load([row.id for row in rows])
        assert all(row is not None and row.revoked_at is not None for row in found)
        final = {row.id: row.version for row in found if row is not None}
        assert all(session.version < final[session.id] for session in made)
        feed = await stores.sessions.ended(None, START, FEED_PAGE)
        assert Counter(entry.session_id for entry in feed.entries) == Counter(
            list(final)
        )
        revoked = [
            event.session_id
            for _, event in await stores.audit.read(0, 1_000_000)
            if event.type is EventType.SESSION_REVOKED
        ]
        assert sorted(revoked, key=str) == sorted(final, key=str)

    async def test_sign_ins_at_once_leave_no_more_than_the_limit(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """And one at least; what ended is in one answer each, and in the feed."""
        old = [a_session(number, now=START - 1000) for number in range(3)]
        await put(stores, *old)

        def caller(name: int) -> Job[list[bytes]]:
            async def begin(stores: Stores, number: int) -> list[bytes]:
                row = a_session(number)
                limit = a_limit(2)
                ended = await stores.sessions.create(row, sign_in(row), limit)
                return [entry.session_id for entry in ended]

            async def job(stores: Stores) -> list[bytes]:
                numbers = range(100 * name + 100, 100 * name + 100 + TASKS)
                ended = await asyncio.gather(*(begin(stores, one) for one in numbers))
                return [one for share in ended for one in share]

            return job

        answers = await crowd.run([caller(name) for name in range(CALLERS)])
        gone = [one for share in answers for one in share]
        page = await stores.sessions.list(
            identifier(1), Alive.at(START, STRICT), limit=99, look=99
        )
        assert 1 <= len(page.sessions) <= 2
        assert len(gone) == len(old) + CALLERS * TASKS - len(page.sessions)
        feed = await stores.sessions.ended(None, START, FEED_PAGE)
        assert Counter(entry.session_id for entry in feed.entries) == Counter(gone)

    async def test_throttle_never_exceeds_its_burst(self, crowd: Crowd) -> None:
        """Of parallel attempts no more than the burst are allowed."""
        cost = a_cost(burst=10)

        async def attempts(stores: Stores) -> list[int]:
            return await asyncio.gather(
                *(stores.throttle.take([cost], START) for _ in range(10))
            )

        waits = await crowd.run([attempts] * CALLERS)
        assert sum(wait == 0 for share in waits for wait in share) == 10

    async def test_one_of_many_gets_the_name(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of several accounts of one name that are added at once, one is added."""

        def registrant(number: int) -> Job[bool]:
            async def job(stores: Stores) -> bool:
                account = an_account("ada", number)
                try:
                    await stores.accounts.add(
                        account, a_trail(EventType.ACCOUNT_CREATED)
                    )
                except NameTaken:
                    return False
                return True

            return job

        won = await crowd.run([registrant(number) for number in range(CALLERS)])
        assert sum(won) == 1
        kept = await stores.accounts.by_name("ada")
        assert kept == an_account("ada", won.index(True))
        assert await stores.audit.last() == 1

    async def test_one_of_many_changes_the_account(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of parallel changes to one version of an account, one is written."""
        before = an_account()
        await stores.accounts.add(before, a_trail(EventType.ACCOUNT_CREATED))

        def changer(number: int) -> Job[bool]:
            after = msgspec.structs.replace(before, version=1, epoch=number)
            trail = a_trail(EventType.ACCOUNT_CHANGED)
            return lambda stores: stores.accounts.swap(before, after, trail)

        won = await crowd.run([changer(number) for number in range(CALLERS)])
        assert sum(won) == 1
        kept = await stores.accounts.by_id(before.id)
        assert kept is not None
        assert kept.epoch == won.index(True)
        assert await stores.audit.last() == 2

    async def test_one_of_many_changes_the_client(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of secrets that several processes make at once for a client, one is kept."""
        before = a_client()
        await stores.clients.add(before, an_event(EventType.CLIENT_CREATED))

        def changer(number: int) -> Job[bool]:
            after = msgspec.structs.replace(
                before, version=1, secret_hash=bytes([number])
            )
            event = an_event(EventType.CLIENT_CHANGED)
            return lambda stores: stores.clients.swap(before, after, event)

        won = await crowd.run([changer(number) for number in range(CALLERS)])
        assert sum(won) == 1
        winner = bytes([won.index(True)])
        kept = msgspec.structs.replace(before, version=1, secret_hash=winner)
        assert await stores.clients.load(before.id) == kept
        assert await stores.audit.last() == 2

    async def test_one_of_many_uses_a_key(self, crowd: Crowd) -> None:
        """Of all calls that use a key at once exactly one gets True, for each key."""
        keys = [b"key %d" % number for number in range(40)]

        async def user(stores: Stores) -> list[bool]:
            using = [
                stores.once.use_once([(key, START), (key + b"!", START)])
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
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of the first key rings that several processes make at once, one is kept."""

        def maker(number: int) -> Job[bool]:
            event = an_event(EventType.KEY_CHANGED)
            return lambda stores: stores.keys.swap(0, [a_key(number)], event)

        won = await crowd.run([maker(number) for number in range(CALLERS)])
        assert sum(won) == 1
        assert await stores.keys.load() == (1, [a_key(won.index(True))])
        assert await stores.audit.last() == 1


async def _race(
    stores: Stores, session_id: bytes, versions: int, name: str
) -> Sequence[Session]:
    """Swap a session again and again, until it has so many versions or has ended.

    Returns the rows that this caller has written.
    """
    won: list[Session] = []
    while True:
        (row,) = await stores.sessions.load([session_id])
        if row is None or row.revoked_at is not None or row.version >= versions:
            return won
        after = rotated(row, by=name)
        event = an_event(EventType.TOKEN_REWOUND, of=row, to=after.generation)
        (done,) = await stores.sessions.swap([Change(row, after, event)])
        if done:
            won.append(after)
