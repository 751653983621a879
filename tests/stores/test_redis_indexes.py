"""What lies beside the sessions in Redis: lists of ids, the feed, the outbox."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import redis

from tests.servers.redis import single
from tests.stores.on_redis import Opener, keys_of, put, servers_of
from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE, HOUR, SWEEP_AFTER, SWEEP_LIMIT
from watchword.core.session import Session
from watchword.errors import StoreUnavailable
from watchword.ports.sessions import ByAccount, ByClient, ById, SessionExists
from watchword.stores.redis import index
from watchword.stores.redis.rows import entry_at_rest
from watchword.stores.redis.scripts import Request
from watchword.stores.redis.streams import Streams
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_limit,
    a_session,
    an_event,
    living,
    sign_in,
)


async def test_events_arrive_once_though_their_mover_is_cut_off(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adopted and not yet deleted: whoever moves them next finds that they are there.

    So do two that move them at once.
    """
    url = single().url()
    stores, other = await opened(url), await opened(url)
    await put(stores, *map(a_session, range(5)))

    async def cut_off(*_: Any) -> int:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(Streams, "delete", cut_off)
        with pytest.raises(StoreUnavailable):
            await stores.audit.read(0, 100)
    await put(stores, a_session(5))
    told = await asyncio.gather(*(one.audit.read(0, 100) for one in (stores, other)))
    wanted = [sign_in(a_session(number)) for number in range(6)]
    for events in told:
        assert [event for _, event in events] == wanted


async def test_a_sign_in_reads_no_session_that_ended_long_ago(
    opened: Opener,
) -> None:
    """The account's list lets them go an hour after their end, at the next sign-in."""
    stores = await opened(single().url())
    ended = [a_session(number) for number in range(1, 9)]
    for row in ended:
        await stores.sessions.create(row, sign_in(row), a_limit(1))
    assert len(await _listed(stores, ended[0])) == len(ended)
    last = a_session(9, now=START + HOUR + 1)
    limit = a_limit(1, now=START + HOUR + 1)
    await stores.sessions.create(last, sign_in(last), limit)
    # The last one but one has ended only now.
    assert await _listed(stores, last) == [ended[-1].id, last.id]


async def _listed(stores: Any, row: Session) -> Any:
    keys = keys_of(stores)
    listing = keys.request("ZRANGE", keys.account(row.account_id), 0, -1)
    (ids,) = await servers_of(stores).ask(listing)
    return ids


async def test_a_session_may_come_long_after_its_name(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in cut off in between leaves a name that nobody minds or takes away."""
    stores = await opened(single().url())
    here, late = a_session(1), a_session(2)
    await put(stores, here)
    ask = servers_of(stores).ask

    async def ask_once(*requests: Request) -> list[Any]:
        monkeypatch.setattr(servers_of(stores), "ask", broken)
        return await ask(*requests)

    async def broken(*_: Request) -> list[Any]:
        raise StoreUnavailable

    monkeypatch.setattr(servers_of(stores), "ask", ask_once)
    with pytest.raises(StoreUnavailable):
        await put(stores, late)
    monkeypatch.setattr(servers_of(stores), "ask", ask)
    assert await living(stores, here.account_id) == [here]
    await stores.sessions.assign_roles(here.account_id, ())
    ended = await stores.sessions.end(
        ByAccount(here.account_id), EndReason.LOGOUT_EVERYWHERE, an_event(), 9
    )
    assert [entry.session_id for entry in ended] == [here.id]
    await stores.backend.sweep(START, SWEEP_LIMIT)
    await put(stores, late)
    ended = await stores.sessions.end(
        ByAccount(here.account_id), EndReason.LOGOUT_EVERYWHERE, an_event(), 9
    )
    assert [entry.session_id for entry in ended] == [late.id]


async def test_a_creation_is_repeated_and_replaces_nothing(opened: Opener) -> None:
    """Whose answer was lost is there once; an id that is taken stays whose it is."""
    stores = await opened(single().url())
    row = a_session()
    await put(stores, row, row)
    with pytest.raises(SessionExists):
        await put(stores, a_session(user_agent="somebody else's"))
    assert await stores.sessions.load([row.id]) == [row]
    assert len(await stores.audit.read(0, 9)) == 1


async def test_an_emptied_server_is_another_one(opened: Opener) -> None:
    """After FLUSHALL or an empty restart, followers read from the start."""
    server = single()
    stores = await opened(server.url("emptied"))
    before = await stores.sessions.ended(None, START, FEED_PAGE)
    with redis.Redis(port=server.port) as operator:
        operator.delete(*operator.keys("emptied:*"))
    row = a_session()
    await put(stores, row)
    await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
    feed = await stores.sessions.ended(before.cursor, START, FEED_PAGE)
    assert feed.cursor.incarnation != before.cursor.incarnation
    assert [entry.session_id for entry in feed.entries] == [row.id]


async def test_a_master_whose_clock_was_ahead_hides_nothing(opened: Opener) -> None:
    """A cursor that it made is ahead of all others: they are read from the start."""
    server = single()
    stores = await opened(server.url())
    ahead, row = a_session(1), a_session(2)
    entry = ahead.ended(EndReason.REUSE, START).feed_entry()
    with redis.Redis(port=server.port) as master:
        at = master.time()[0] * 1000 + 60_000
        stamp = {b"%d000" % at: entry_at_rest(entry)}
        master.xadd(keys_of(stores).feed[1], stamp, id=f"{at}-0")
    cursor = (await stores.sessions.ended(None, START, FEED_PAGE)).cursor
    assert cursor.sequence < at
    await put(stores, row)
    await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
    feed = await stores.sessions.ended(cursor, START, FEED_PAGE)
    assert {entry.session_id for entry in feed.entries} == {ahead.id, row.id}


async def test_a_read_goes_no_further_than_where_it_began(opened: Opener) -> None:
    """What was written while its later pages were read is for the next read."""
    stores = await opened(single().url())
    rows = [a_session(number * 64) for number in range(2)]
    await put(stores, *rows)
    for row in rows:
        await stores.sessions.end(ById(row.id), EndReason.LOGOUT, an_event(), 1)
    page = (await stores.sessions.ended(None, START, 1)).cursor
    began = msgspec.structs.replace(page, sequence=page.sequence - 30_000)
    feed = await stores.sessions.ended(began, START, FEED_PAGE)
    assert [entry.session_id for entry in feed.entries] == [rows[1].id]
    assert feed.cursor.sequence <= began.sequence


async def test_a_sweep_goes_on_where_the_last_one_stopped(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stretch at a time, it comes to the sessions at the end, and starts again."""
    monkeypatch.setattr(index, "SWEEP_LOOK", 100)
    monkeypatch.setattr(index, "PAGE", 10)
    stores = await opened(single().url())
    old = {"idle_expires_at": START - 2 * SWEEP_AFTER}
    rows = [a_session(number) for number in range(700)]
    over = [a_session(number, **old) for number in range(700, 710)]
    await asyncio.gather(*(put(stores, row) for row in (*rows, *over)))
    swept = [await stores.backend.sweep(START, SWEEP_LIMIT) for _ in range(7)]
    assert swept[0] == 0
    assert sum(swept) == len(over)
    assert await living(stores, limit=1000) == rows[::-1]
    await put(stores, a_session(1, idle_expires_at=0, account=5, now=1))
    assert sum([await stores.backend.sweep(START, SWEEP_LIMIT) for _ in range(7)]) == 1
    with redis.Redis(port=single().port) as operator:
        names = [operator.zcard(name) for name in keys_of(stores).index]
        assert sum(names) == len(rows)
        assert operator.zcard(keys_of(stores).account(rows[0].account_id)) == len(rows)


async def test_ending_by_steps_looks_at_nothing_twice(opened: Opener) -> None:
    """A client's sessions end in steps whose cost does not grow with those before."""
    server = single()
    stores = await opened(server.url())
    rows = [a_session(number) for number in range(600)]
    await asyncio.gather(*(put(stores, row) for row in rows))
    costs: list[int] = []
    selector = ByClient(rows[0].client_id)
    with server.client() as operator:
        for _ in range(6):
            operator.config_resetstat()
            ended = await stores.sessions.end(
                selector, EndReason.LOGOUT_EVERYWHERE, an_event(), 100
            )
            assert len(ended) == 100
            selector = ByClient(
                selector.client_id, max(entry.session_id for entry in ended)
            )
            costs.append(operator.info("commandstats")["cmdstat_mget"]["calls"])
    assert costs == costs[:1] * 6
    assert (
        await stores.sessions.end(
            selector, EndReason.LOGOUT_EVERYWHERE, an_event(), 100
        )
        == []
    )
