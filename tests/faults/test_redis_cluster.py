"""A Cluster of three masters and their replicas: masters die, replicas take over."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.history import Tail, violations
from tests.faults.load import HONEST, load
from tests.faults.serving import rewound, serving
from tests.patience import auntil
from tests.servers.redis import Cluster, Redis
from watchword.core.limits import REWIND_LIMIT
from watchword.testing.store_contract.backend import Place

CLIENTS = 8
WAIT = {"WATCHWORD_SESSION_STORE_WAIT": "1,1"}
FAILOVERS = ["asked", "taken", "elected", "taken", "asked", "taken"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    nodes = Cluster(replicas=1, appendfsync="always").start()
    yield nodes
    nodes.kill()


@pytest.fixture
def place(cluster: Cluster, tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/records.db", cluster.url())


async def test_masters_are_lost_one_after_another(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """The servers find who has taken over; who was killed comes back to follow."""
    draw = random.Random(45)
    tails: list[Tail] = []
    async with (
        serving(tmp_path, place, **WAIT) as servers,
        load(servers, seed=45, clients=CLIENTS) as clients,
    ):
        for number, how in enumerate(FAILOVERS):
            await clients.answers(draw.randrange(20, 60))
            master, replica = cluster.pair(number % cluster.masters)
            cut = time.monotonic()
            if how == "asked":
                _ask(replica, "CLUSTER FAILOVER")
            else:
                master.kill()
            if how == "taken":
                _ask(replica, "CLUSTER FAILOVER TAKEOVER")
            if how == "elected":
                await clients.answers(1, 503)
            await auntil(partial(_is_master, replica))
            if how != "asked":
                tails.append(Tail(cut, time.monotonic(), waited=True))
                await clients.answers(20)
                master.start()
            await auntil(cluster.is_settled)
    assert not violations(
        clients.calls, await rewound(place), tails=tails, may_rewind=REWIND_LIMIT
    )


async def test_a_tail_that_no_replica_has_is_healed_by_rewinding(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    """The replicas hear nothing; then all masters die, and the replicas take over.

    What was rotated meanwhile is healed. What was revoked meanwhile was never said to
    be over, by neither server; and it is, once that is said.
    """
    async with (
        serving(tmp_path, place, **WAIT) as servers,
        load(servers, seed=46, clients=CLIENTS, mix=HONEST) as clients,
    ):
        others = [one for _ in "123" if (one := (await clients.send("A", "login"))[1])]
        await clients.hold()
        pairs = [cluster.pair(number) for number in range(cluster.masters)]
        await auntil(lambda: all(_is_even(*pair) for pair in pairs))
        cut = time.monotonic()
        for _, replica in pairs:
            _ask(replica, "CONFIG SET masterauth", "nobody has this one")
            _ask(replica, "CLIENT KILL TYPE master")
        await clients.hold(after=REWIND_LIMIT)
        unheard = await asyncio.gather(
            *(clients.send(name, "logout", one) for name in "AB" for one in others)
        )
        assert {call.status for call, _ in unheard} == {503}
        for master, _ in pairs:
            master.kill()
        for _, replica in pairs:
            _ask(replica, "CLUSTER FAILOVER TAKEOVER")
        for master, replica in pairs:
            _ask(replica, "CONFIG SET masterauth", "")
            master.start(wait=False)
        await auntil(cluster.is_settled)
        tail = Tail(cut, time.monotonic(), waited=True)
        await clients.allow()
        ended = await asyncio.gather(
            *(clients.send("A", "logout", one) for one in others)
        )
        assert [call.status for call, _ in ended] == [200] * len(others)
        clients.over += others
        await clients.answers(20)
    events = await rewound(place)
    assert [event.by for event in events] == [REWIND_LIMIT] * CLIENTS
    assert not violations(clients.calls, events, tails=[tail], may_rewind=REWIND_LIMIT)


def _ask(node: Redis, *command: str) -> None:
    with node.client() as client:
        client.execute_command(*command)


def _told(node: Redis, what: str) -> Any:
    with node.client() as client:
        return client.info("replication")[what]


def _is_master(node: Redis) -> bool:
    return bool(_told(node, "role") == "master")


def _is_even(master: Redis, replica: Redis) -> bool:
    offset = "master_repl_offset"
    return bool(_told(master, offset) == _told(replica, offset))
