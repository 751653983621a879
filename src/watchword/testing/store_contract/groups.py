"""Contract: sessions that another one is the root of, and ids that are given before.

Each test is one promise of `ports.SessionStore`.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
from queue import SimpleQueue

import pytest

from watchword.core.actor import EndReason
from watchword.core.session import Session
from watchword.ports import Stores
from watchword.ports.sessions import (
    ByAccount,
    ById,
    Change,
    SessionExists,
    SessionLimit,
)
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
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

CALLERS = 4
IDS = 10
ROUNDS = 40


def _member(number: int, root: Session, *, at: int | None = None) -> Session:
    """A session of an app that comes from that sign-in of the browser."""
    now = root.rotated_at if at is None else at
    return a_session(number, now=now, client_id="app", started_from=root.id)


async def _made(
    stores: Stores, session: Session, limit: SessionLimit | None = None
) -> bool:
    try:
        await stores.sessions.create(session, sign_in(session), limit)
    except SessionExists:
        return False
    return True


class Groups(OnAStore):
    """Groups in ends and limits; ids that are made once; what a look must see."""

    async def test_end_of_all_others_keeps_the_group(self, stores: Stores) -> None:
        """Whichever of its sessions is the caller, and if the root has no row."""
        root, other = a_session(1), a_session(2)
        kept = [root, _member(3, root), _member(4, root)]
        gone = a_session(8)  # its row was swept
        left = [_member(5, gone), _member(6, gone)]
        others = [other, _member(7, other)]
        await put(stores, *kept, *others, *left)
        everything = ByAccount(identifier(1), root.id)
        ended = await stores.sessions.end(
            everything, EndReason.PASSWORD_CHANGED, an_event(), 9
        )
        assert sorted(entry.session_id for entry in ended) == sorted(
            row.id for row in [*others, *left]
        )
        assert sorted(row.id for row in await living(stores)) == sorted(
            row.id for row in kept
        )
        more = [_member(15, gone), _member(16, gone)]
        await put(stores, *more)
        everything = ByAccount(identifier(1), gone.id)
        await stores.sessions.end(everything, EndReason.PASSWORD_CHANGED, an_event(), 9)
        assert {row.id for row in await living(stores)} == {row.id for row in more}

    async def test_limit_counts_groups_and_ends_whole_ones(
        self, stores: Stores
    ) -> None:
        """A group is as young as its latest refresh, by whichever of its sessions."""
        busy, quiet, alone, replaced = (
            a_session(n, now=START - 100 + n) for n in range(1, 5)
        )
        app = _member(11, busy)
        apps = [_member(12, quiet), _member(13, quiet)]
        dead = a_session(9, now=START - 200)
        offline = _member(14, dead)
        rows = [busy, app, quiet, *apps, alone, offline, replaced]
        await put(stores, *rows, dead)
        await stores.sessions.end(ById(dead.id), EndReason.LOGOUT, an_event(), 1)
        used = rotated(app, now=START - 10)
        await stores.sessions.swap([Change(app, used)])
        joins = _member(21, busy, at=START)
        ended = await stores.sessions.create(
            joins, sign_in(joins), a_limit(4, replaced=replaced.id)
        )
        assert ended == []  # four groups are left as they are
        new = a_session(22, now=START)
        limit = a_limit(3, replaced=replaced.id)
        ended = await stores.sessions.create(new, sign_in(new), limit)
        over = sorted([quiet, *apps, offline], key=lambda row: row.id)
        gone = [row.ended(EndReason.SESSIONS_MAX, START) for row in over]
        assert ended == [row.feed_entry() for row in gone]
        assert await stores.sessions.load([row.id for row in over]) == gone
        assert {row.id for row in await living(stores)} == {
            row.id for row in (busy, used, joins, alone, new, replaced)
        }
        assert set(ended) <= set(await fed(stores))

    async def test_an_id_is_taken_once(self, stores: Stores) -> None:
        """A second session of an id writes nothing; others at the time are written."""
        first, beside = a_session(1), a_session(2, account=2)
        await put(stores, first)
        late = a_session(1, account=3, client_id="app")
        limit = a_limit(1)
        made = await asyncio.gather(
            _made(stores, beside), _made(stores, late), _made(stores, late, limit)
        )
        assert list(made) == [True, False, False]
        await stores.sessions.end(ById(first.id), EndReason.LOGOUT, an_event(), 1)
        assert not await _made(stores, late)  # nor is one that has ended made again
        ended = first.ended(EndReason.LOGOUT, START)
        assert await stores.sessions.load([first.id, beside.id]) == [ended, beside]
        assert await living(stores) == [beside]
        assert await stores.audit.last() == 3

    @pytest.mark.parametrize("limited", [False, True], ids=["unlimited", "limited"])
    async def test_of_creators_of_an_id_one_is_first(
        self,
        stores: Stores,
        crowd: Crowd,
        limited: bool,  # noqa: FBT001 - a parameter
    ) -> None:
        """And the others can load its session at once."""
        limit = a_limit(IDS) if limited else None

        def caller(name: int) -> Job[list[int]]:
            async def one(stores: Stores, number: int) -> bool:
                row = a_session(number, retry_hash=bytes([name]) * 32)
                made = await _made(stores, row, limit)
                (found,) = await stores.sessions.load([row.id])
                assert found is not None
                assert (found == row) == made
                return made

            async def job(stores: Stores) -> list[int]:
                made = await asyncio.gather(*(one(stores, n) for n in range(IDS)))
                return [number for number, first in enumerate(made) if first]

            return job

        won = await crowd.run([caller(name) for name in range(CALLERS)])
        assert sorted(one for share in won for one in share) == list(range(IDS))
        assert await stores.audit.last() == IDS

    async def test_load_sees_what_was_acknowledged_to_another(
        self, crowd: Crowd
    ) -> None:
        """Every session that was created, and every end, by its id or with others."""
        told: SimpleQueue[tuple[bytes, bool]] = SimpleQueue()

        async def writer(stores: Stores) -> None:
            for number in range(ROUNDS):
                row = a_session(number, account=number)
                await stores.sessions.create(row, sign_in(row))
                told.put((row.id, False))
                selector = ById(row.id) if number % 2 else ByAccount(row.account_id)
                await stores.sessions.end(selector, EndReason.LOGOUT, an_event(), 1)
                told.put((row.id, True))

        async def reader(stores: Stores) -> None:
            for _ in range(2 * ROUNDS):
                session_id, ended = await asyncio.to_thread(told.get)
                (found,) = await stores.sessions.load([session_id])
                assert found is not None
                assert found.revoked_at is not None or not ended

        await crowd.run([writer, reader])
