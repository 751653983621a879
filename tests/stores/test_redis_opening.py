"""Opening a session store in Redis: its URL, what is refused, what is never told."""

from __future__ import annotations

import asyncio
import ssl
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.test_https import certificate
from tests.servers.proxy import Proxy
from tests.servers.redis import Redis, cluster, single
from tests.stores.on_redis import Opener, put
from watchword.core.actor import EndReason
from watchword.core.limits import SWEEP_AFTER
from watchword.errors import SettingsError, StoreUnavailable, WatchwordError
from watchword.ports.sessions import ById
from watchword.stores.redis.address import address_of
from watchword.testing.fakes import START
from watchword.testing.store_contract.examples import (
    a_cost,
    a_session,
    an_event,
    fed,
)

PASSWORD = "s3cret%2Fof%40mine"


def test_a_url_has_all_that_leads_there() -> None:
    plain = address_of("redis://redis.internal")
    assert plain.hosts == (("redis.internal", 6379),)
    assert (plain.cluster, plain.tls, plain.db, plain.user) == (False, False, 0, None)
    assert plain.prefix == "watchword"
    full = address_of(
        f"rediss+cluster://ann:{PASSWORD}@[2001:db8::1]:7000,b.internal?prefix=a.b"
    )
    assert full.hosts == (("2001:db8::1", 7000), ("b.internal", 6379))
    assert (full.cluster, full.tls, full.prefix) == (True, True, "a.b")
    assert (full.user, full.password) == ("ann", "s3cret/of@mine")
    assert address_of("redis://:only@host/7").db == 7


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:@:6379",
        "redis://host:port",
        "redis://host/name",
        "redis://one,two",
        "redis+cluster://host/1",
        "redis://host?prefix={a}",
        "redis://host?socket_timeout=1",
    ],
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="WATCHWORD_SESSION_STORE_URL"):
        address_of(url)


async def test_a_server_that_would_lose_sessions_is_refused(
    server: Redis, opened: Opener
) -> None:
    """One that evicts; one without a log, where a revocation shall wait for it."""
    with server.client() as operator:
        operator.config_set("maxmemory-policy", "allkeys-lru")
        await opened(server.url())  # it evicts nothing without a limit
        operator.config_set("maxmemory", "1gb")
        operator.config_set("appendonly", "no")
        with pytest.raises(SettingsError) as refused:
            await opened(server.url())
        assert "maxmemory-policy noeviction" in str(refused.value)
        assert "appendonly yes" in str(refused.value)
        operator.config_set("maxmemory-policy", "noeviction")
        with pytest.raises(SettingsError, match="WATCHWORD_SESSION_STORE_WAIT"):
            await opened(server.url())
    await opened(server.url(), wait=(0, 1))


async def test_a_cluster_is_called_one_and_nothing_else_is(opened: Opener) -> None:
    with pytest.raises(SettingsError, match=r"redis\+cluster://"):
        await opened(f"redis://127.0.0.1:{cluster().nodes[0].port}")
    with pytest.raises(SettingsError, match=r"redis://"):
        await opened(f"redis+cluster://127.0.0.1:{single().port}")


async def test_a_cluster_is_found_by_any_of_the_nodes_named(opened: Opener) -> None:
    there = cluster().url("named").replace("://", "://127.0.0.1:1,")
    stores = await opened(there)
    await put(stores, a_session())
    assert await stores.sessions.load([a_session().id]) == [a_session()]


@pytest.fixture
def locked(server: Redis) -> Redis:
    """For one user alone, who may do what docs/redis.md says that is needed."""
    with server.client() as operator:
        rules = "on >s3cret/of@mine ~watchword:* +@all -@dangerous +info +cluster|slots"
        operator.execute_command("ACL", "SETUSER", "ann", *rules.split())
        operator.execute_command("ACL", "SETUSER", "default", "off")
    return server


async def test_no_password_is_ever_told(locked: Redis, opened: Opener) -> None:
    """A wrong one is a fault of the settings; nobody there, one of the store."""
    faults: list[tuple[type[WatchwordError], str]] = [
        (SettingsError, f"redis://ann:wrong-{PASSWORD}@127.0.0.1:{locked.port}"),
        (SettingsError, f"redis://127.0.0.1:{locked.port}"),
        (StoreUnavailable, f"redis://ann:{PASSWORD}@127.0.0.1:1"),
        (StoreUnavailable, f"redis+cluster://ann:{PASSWORD}@127.0.0.1:1"),
    ]
    for kind, url in faults:
        with pytest.raises(kind, match=r"SESSION_STORE_URL|127\.0\.0\.1:1:") as refused:
            await opened(url)
        told = "".join(traceback.format_exception(refused.value))
        assert "s3cret" not in told


@pytest.fixture
async def tls(
    locked: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[int]:
    """The port of that server behind TLS, by a certificate for 127.0.0.1."""
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    made = Proxy(locked.port)
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await made.close()


async def test_tls_with_a_user_and_a_password(tls: int, opened: Opener) -> None:
    """The server's certificate is verified, its name too."""
    stores = await opened(f"rediss://ann:{PASSWORD}@127.0.0.1:{tls}")
    await put(stores, a_session())
    ended = await stores.sessions.end(
        ById(a_session().id), EndReason.LOGOUT, an_event(), 1
    )
    assert await fed(stores) == ended
    assert await stores.throttle.take([a_cost()], START) == 0
    assert await stores.backend.sweep(START + 100 * SWEEP_AFTER, 9) >= 3
    with pytest.raises(StoreUnavailable, match="localhost"):
        await opened(f"rediss://ann:{PASSWORD}@localhost:{tls}")
    await stores.backend.close()
