"""Redis and Valkey that restart, hang, are full or are no masters any more.

What is the same on every store, the contract tells.
"""

from __future__ import annotations

import signal

import pytest

from tests.servers.redis import Redis, single
from tests.stores.on_redis import Opener, events_of, put, reuse, rotation, until
from watchword.core.limits import FEED_PAGE, SWEEP_AFTER, SWEEP_LIMIT
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType
from watchword.ports.sessions import ByAccount, ById
from watchword.stores.redis import RedisStore
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_cost,
    a_session,
    an_event,
    living,
    sign_in,
)

both = pytest.mark.parametrize("server", ["redis-6", "valkey-9"], indirect=True)


async def test_forgotten_scripts_are_sent_again(opened: Opener) -> None:
    """After SCRIPT FLUSH, as after a restart or a failover, every step still works."""
    server = single()
    store = await opened(server.url())
    row, spent = a_session(1), a_session(2)

    def forgetful() -> RedisStore:
        with server.client() as operator:
            operator.script_flush()
        return store

    await put(forgetful(), row)
    await put(store, spent)
    assert await forgetful().swap([rotation(row), reuse(spent)]) == [True, True]
    ended = await forgetful().end(ById(row.id), "logout", an_event(), 1)
    assert [entry.session_id for entry in ended] == [row.id]
    assert await forgetful().take([a_cost()], START) == 0
    assert await forgetful().use_once([(b"key", START)]) == [True]
    assert await forgetful().sweep(START + 100 * SWEEP_AFTER, SWEEP_LIMIT) >= 4


@both
async def test_a_server_that_was_away_is_found_again(
    server: Redis, opened: Opener
) -> None:
    """Nobody is asked over a connection to its earlier life."""
    store = await opened(server.url("mine"))
    row = a_session()
    await put(store, row)
    server.process.stop()
    with pytest.raises(StoreUnavailable):
        await store.check()
    server.start()
    assert await store.swap([rotation(row)]) == [True]
    await store.check()


@both
async def test_a_replica_is_not_written_to(
    server: Redis, opened: Opener, hasty: None
) -> None:
    """A master that was made a replica: nothing is written, and nothing made up."""
    store = await opened(server.url("mine"))
    row, other = a_session(1), a_session(2)
    await put(store, row)
    with server.client() as operator:
        operator.execute_command("REPLICAOF", "127.0.0.1", "1")  # where nobody is
        for verb in (
            lambda: store.swap([rotation(row)]),
            lambda: store.end(ById(row.id), "logout", an_event(), 1),
            lambda: store.create(other, sign_in(other)),
            lambda: store.take([a_cost()], START),
            lambda: store.use_once([(b"key", START)]),
        ):
            with pytest.raises(StoreUnavailable):
                await verb()
        assert await store.load([row.id]) == [row]
        operator.config_set("replica-serve-stale-data", "no")
        with pytest.raises(StoreUnavailable):  # MASTERDOWN
            await store.load([row.id])
        operator.execute_command("REPLICAOF", "NO", "ONE")
    assert await store.swap([rotation(row)]) == [True]
    assert len(await events_of(store, EventType.TOKEN_REWOUND)) == 1


@both
async def test_a_full_server_takes_nothing_until_there_is_room(
    server: Redis, opened: Opener
) -> None:
    """Nothing is half written. Reading, following and sweeping work on."""
    store = await opened(server.url("mine"))
    rows = [a_session(number) for number in range(3)]
    old = a_session(9, account=2, idle_expires_at=START - 2 * SWEEP_AFTER)
    await put(store, *rows, old)
    with server.client() as operator:
        operator.config_set("maxmemory", 1)
        for verb in (
            lambda: store.swap([rotation(row) for row in rows]),
            lambda: store.swap([rotation(rows[0]), reuse(rows[1])]),
            lambda: store.end(ByAccount(rows[0].account_id), "all", an_event(), 9),
            lambda: store.create(a_session(4), sign_in(a_session(4))),
        ):
            with pytest.raises(StoreUnavailable):
                await verb()
        await opened(server.url("mine"))
        assert await store.sweep(START, SWEEP_LIMIT) == 1
        assert (await store.ended(None, START, FEED_PAGE)).entries == []
        operator.config_set("maxmemory", 0)
    assert await living(store) == rows[::-1]
    assert await store.swap([rotation(row) for row in rows]) == [True] * 3
    assert len(await store.read_events(0, 99)) == len([*rows, old]) + len(rows)


async def test_an_answer_that_never_came_is_no_false(
    server: Redis, opened: Opener, hasty: None
) -> None:
    """The server hangs: what was sent may be done yet, so nobody says it was not."""
    store = await opened(server.url("mine"))
    first = rotation(a_session())
    await put(store, first.before)
    assert await store.swap([first]) == [True]
    server.process.send(signal.SIGSTOP)
    row, change = first.after, rotation(first.after)
    for verb in (
        lambda: store.swap([change]),
        lambda: store.take([a_cost()], START),
        lambda: store.load([row.id]),
    ):
        with pytest.raises(StoreUnavailable):
            await verb()
    server.process.send(signal.SIGCONT)
    await until(store.load, [row.id], answers=[change.after])  # it was on its way
    assert await store.swap([change]) == [False]
    assert len(await events_of(store, EventType.TOKEN_REWOUND)) == 2
