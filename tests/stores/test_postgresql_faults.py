"""PostgreSQL fails: the answer is StoreUnavailable, in time, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from tests.servers.postgresql import Postgresql, postgresql
from tests.servers.process import free_port
from tests.stores.between import between
from tests.stores.on_postgresql import opened, somebody, until, waiting
from watchword.core.session import Session
from watchword.errors import StoreUnavailable
from watchword.ports import Stores
from watchword.ports.sessions import Change
from watchword.stores.postgresql import connection as lines
from watchword.stores.postgresql import connections, pool
from watchword.testing.store_contract.examples import a_session, put, rotated

_LOCK = "SELECT id FROM watchword.sessions WHERE id = $1 FOR UPDATE"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    """One that may be hurt."""
    made = Postgresql().init().start()
    yield made
    made.kill()


@pytest.fixture
def url(server: Postgresql) -> str:
    return server.new_database()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[Stores]:
    async with opened(url) as stores:
        yield stores


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long: stores that are opened from now on."""
    monkeypatch.setattr(connections, "QUERY_TIMEOUT", 2.0)
    monkeypatch.setattr(pool, "CLOSE_TIMEOUT", 0.5)


def change(row: Session, by: str = "key") -> Change:
    return Change(row, rotated(row, by=by))


async def _refused(stores: Stores) -> None:
    """Writes are, once the server has read its settings."""
    with contextlib.suppress(StoreUnavailable):
        for number in count(1000):
            await put(stores, a_session(number))


async def test_connection_lost_in_mid_statement(url: str, stores: Stores) -> None:
    """Whoever it was asked for hears so; nothing was written; the next call works."""
    row = a_session()
    await put(stores, row)
    async with somebody(url) as other, other.transaction():
        await other.fetch(_LOCK, row.id)
        swapping = asyncio.create_task(stores.sessions.swap([change(row)]))
        (pid,) = await waiting(url, 1)
        await other.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(StoreUnavailable):
            await swapping
    assert await stores.sessions.load([row.id]) == [row]
    assert await stores.sessions.swap([change(row)]) == [True]


async def test_caller_that_goes_away_disturbs_nobody(url: str, stores: Stores) -> None:
    """What was asked for is done, though nobody waits for it; the connection stays."""
    row = a_session()
    await put(stores, row)
    async with somebody(url) as other, other.transaction():
        await other.fetch(_LOCK, row.id)
        swapping = asyncio.create_task(stores.sessions.swap([change(row)]))
        (pid,) = await waiting(url, 1)
        swapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await swapping
        assert await waiting(url, 1) == [pid]
    await until(lambda: _has(stores, change(row).after))


async def test_exhausted_pool_is_answered_in_time(url: str, hasty: None) -> None:
    """With every connection blocked all are answered, and what was not is not done."""
    row = a_session()
    async with opened(url) as stores:
        await put(stores, row)
        async with somebody(url) as other, other.transaction():
            await other.fetch(_LOCK, row.id)
            several = range(pool.SIZE + 4)
            swaps = [
                stores.sessions.swap([change(row, f"{number}")]) for number in several
            ]
            answers = await asyncio.gather(*swaps, return_exceptions=True)
            assert {type(one) for one in answers} == {StoreUnavailable}
            await waiting(url, 0)  # nobody gets there after all
        assert await stores.sessions.load([row.id]) == [row]
        assert await stores.sessions.swap([change(row)]) == [True]


async def test_commit_that_waits_for_a_standby_is_not_seen_before_it_is_safe(
    server: Postgresql, url: str, hasty: None
) -> None:
    """Given up on, it is not cancelled: that would make it, without the standby."""
    row = a_session()
    async with opened(url) as stores:
        await put(stores, row)
        await asyncio.to_thread(server.set, synchronous_standby_names="nobody")
        try:
            await _refused(stores)
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await stores.sessions.swap([change(row)])
                assert await stores.sessions.load([row.id]) == [row]
        finally:
            await asyncio.to_thread(server.set, synchronous_standby_names="")
        await until(lambda: _has(stores, change(row).after))
        assert await stores.sessions.swap([change(row)]) == [False]


async def _has(stores: Stores, row: Session) -> bool:
    return await stores.sessions.load([row.id]) == [row]


async def test_server_that_was_away_is_found_again(
    server: Postgresql, url: str, stores: Stores
) -> None:
    """While it is stopped, StoreUnavailable; afterwards all goes on by itself."""
    row = a_session()
    await put(stores, row)
    await asyncio.to_thread(server.stop)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await stores.sessions.load([row.id])
    with pytest.raises(StoreUnavailable):
        async with opened(url):
            pass
    await asyncio.to_thread(server.start)
    assert await stores.sessions.load([row.id]) == [row]


async def test_server_that_takes_no_writes_any_more_is_left(
    server: Postgresql, url: str, stores: Stores
) -> None:
    """A demoted one is neither written to nor read from, until it is promoted."""
    row = a_session()
    await put(stores, row)
    await asyncio.to_thread(server.set, default_transaction_read_only="on")
    await _refused(stores)
    with pytest.raises(StoreUnavailable):
        await stores.sessions.load([row.id])
    await asyncio.to_thread(server.set, default_transaction_read_only="off")
    async with somebody(url) as other:
        off = "SELECT current_setting('default_transaction_read_only') = 'off'"
        await until(lambda: other.fetchval(off))
    assert await stores.sessions.swap([change(row)]) == [True]


async def test_silent_connections_cost_one_time_out(url: str, hasty: None) -> None:
    """After a failover without a word, those that are idle go with the first."""
    row = a_session()
    async with between(url) as way, opened(way.url) as stores:
        await put(stores, row)
        await _by_all(stores, row)
        way.fall_silent()
        with pytest.raises(StoreUnavailable):
            await stores.sessions.load([row.id])
        assert await stores.sessions.load([row.id]) == [row]


async def _by_all(stores: Stores, row: Session) -> list[object]:
    """What all connections at once answer."""
    loads = [stores.sessions.load([row.id]) for _ in range(pool.SIZE)]
    return await asyncio.gather(*loads, return_exceptions=True)


async def test_silence_ends(
    url: str, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that wait for an answer make room again when it never comes."""
    monkeypatch.setattr(lines, "SILENCE_MAX", connections.QUERY_TIMEOUT / 2)
    row = a_session()
    async with between(url) as way, opened(way.url) as stores:
        await put(stores, row)
        await _by_all(stores, row)
        way.fall_silent()
        for answer in await _by_all(stores, row):
            assert isinstance(answer, StoreUnavailable)
        assert await stores.sessions.load([row.id]) == [row]


async def test_the_server_that_takes_writes_is_found(
    server: Postgresql, url: str
) -> None:
    """Of several hosts in a URL one is used that is there, and is the primary."""
    name = url.rpartition("/")[2]
    standby = postgresql()
    standby.execute(f"CREATE DATABASE {name}")
    standby.execute(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
    ports = (free_port(), standby.port, server.port)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    row = a_session()
    async with opened(f"postgresql://postgres@{hosts}/{name}") as stores:
        await put(stores, row)
    async with opened(url) as stores:
        assert await stores.sessions.load([row.id]) == [row]
