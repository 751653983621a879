"""A Cluster whose slots move while sessions are refreshed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.scenarios.world import World
from tests.servers.redis import Cluster
from tests.stores.on_redis import Opener, events_of, keys_of, put, reuse, until
from watchword.core.actor import EndReason
from watchword.core.limits import FEED_PAGE
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType
from watchword.ports.sessions import ById, Change
from watchword.stores.redis import node, servers
from watchword.stores.redis.keys import BUCKETS
from watchword.testing.fakes import START, ManualClock
from watchword.testing.store_contract.examples import a_session, an_event, rotated


class Move:
    """A bucket on its way from its master to the next one, key by key."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self.slot = slot
        clients: list[Any] = [redis.Redis(port=node.port) for node in cluster.nodes]
        ids = [client.execute_command("CLUSTER MYID") for client in clients]
        here = slot * len(clients) // 16384
        there = (here + 1) % len(clients)
        self.clients, self.ids = clients, ids
        self.source, self.target = clients[here], clients[there]
        self.port = cluster.nodes[there].port
        self.node = ids[there]
        self.target.execute_command(*self._set("IMPORTING", ids[here]))
        self.source.execute_command(*self._set("MIGRATING", ids[there]))

    def _set(self, *what: Any) -> tuple[Any, ...]:
        return ("CLUSTER", "SETSLOT", self.slot, *what)

    def move(self, *names: bytes) -> None:
        self.source.execute_command(
            *("MIGRATE", "127.0.0.1", self.port, "", 0, 5000, "KEYS", *names)
        )

    def finish(self) -> None:
        while names := self.source.execute_command(
            *("CLUSTER", "GETKEYSINSLOT", self.slot, 100)
        ):
            self.move(*names)
        for client in (self.target, self.source, *self.clients):
            client.execute_command(*self._set("NODE", self.node))

    def close(self) -> None:
        for client in self.clients:
            client.close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """One of the test's own: it is not the same afterwards."""
    own = Cluster(hz="100").start()
    yield own
    own.kill()


async def test_a_slot_moves_under_refreshes(
    cluster: Cluster, opened: Opener, hasty: None
) -> None:
    """ASK, then MOVED: rotations notice nothing. What touches several keys waits.

    A sign-in or a revocation may be told to come again while half of its bucket is
    away; it is never half done.
    """
    stores = await opened(cluster.url("mine"))
    rows = [a_session(BUCKETS * number + 3) for number in range(6)]
    ids = [row.id for row in rows]
    await put(stores, *rows)
    moving = Move(cluster, keys_of(stores).slots[3])
    for row in list(rows):
        moving.move(keys_of(stores).session(row.id))
        changes = [Change(row, rotated(row)) for row in rows]
        assert await stores.sessions.swap(changes) == [True] * len(rows)
        rows = [change.after for change in changes]
        assert await stores.sessions.load(ids) == rows
    spent = rows[-1]
    for verb in (
        lambda: stores.sessions.swap([reuse(spent)]),
        lambda: stores.sessions.end(ById(spent.id), EndReason.LOGOUT, an_event(), 1),
        lambda: put(stores, a_session(3 + BUCKETS * 9)),
    ):
        with pytest.raises(StoreUnavailable):  # TRYAGAIN
            await verb()
    assert await stores.sessions.load(ids) == rows
    moving.finish()
    assert await stores.sessions.swap([reuse(spent)]) == [True]
    await put(stores, a_session(3 + BUCKETS * 9))
    feed = await stores.sessions.ended(None, START, FEED_PAGE)
    assert [entry.session_id for entry in feed.entries] == [spent.id]
    assert len(await events_of(stores, EventType.TOKEN_REUSE)) == 1
    moving.close()


async def test_a_master_that_hangs_holds_up_its_own_sessions_alone(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has no retry key would be logged out by a 503 for what was written."""
    cluster = Cluster(cluster_require_full_coverage="no").start()
    away = cluster.nodes[0].process
    for module in (node, servers):
        monkeypatch.setattr(module, "ANSWER_TIMEOUT", 3.0)  # the others answer in time
    try:
        world = await World(await opened(cluster.url()), ManualClock()).start()
        token_sets = [await world.sign_in() for _ in range(16)]
        away.send(signal.SIGSTOP)
        outcomes = await asyncio.gather(*(world.outcome(one) for one in token_sets))
        held = [code == "store_unavailable" for code in outcomes]
        assert 0 < sum(held) < len(token_sets)
        away.send(signal.SIGCONT)
        for tokens, code, is_held in zip(token_sets, outcomes, held, strict=True):
            token = tokens.refresh_token if is_held else code
            await until(world.goes_on, token, answers=True)
    finally:
        cluster.kill()
