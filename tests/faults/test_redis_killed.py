"""A single Valkey that is killed, loses power, hangs or has no room, under load."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.history import Tail, violations
from tests.faults.load import HONEST, load
from tests.faults.serving import rewound, serving
from tests.servers.redis import Redis
from watchword.core.limits import REWIND_LIMIT
from watchword.testing.store_contract.backend import Place

CLIENTS = 8


@pytest.fixture
def valkey(request: pytest.FixtureRequest) -> Iterator[Redis]:
    server = Redis(appendfsync=getattr(request, "param", "always")).start()
    yield server
    server.kill()


@pytest.fixture
def place(valkey: Redis, tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/records.db", valkey.url())


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.slow)])
async def test_kills_lose_nothing(
    valkey: Redis, place: Place, kills: int, tmp_path: Path
) -> None:
    """What was answered was on disk; once it is away until clients notice."""
    draw = random.Random(42)
    async with serving(tmp_path, place) as servers, load(servers, seed=42) as clients:
        for number in range(kills):
            await clients.answers(draw.randrange(20, 60))
            valkey.kill()
            if number == kills // 2:
                await clients.answers(1, 503)
            valkey.start()
    assert violations(clients.calls, await rewound(place)) == []
    assert clients.healed


@pytest.mark.parametrize("valkey", ["everysec"], indirect=True)
async def test_a_power_cut_between_two_fsyncs_is_healed_by_rewinding(
    valkey: Redis, place: Place, tmp_path: Path
) -> None:
    """With `everysec`, the last second may go. Nobody whose session stayed notices.

    A kill leaves to the kernel what was written, and so loses next to nothing: the file
    is cut back here to what had reached the disk for certain.
    """
    async with (
        serving(tmp_path, place) as servers,
        load(servers, seed=43, clients=CLIENTS, mix=HONEST) as clients,
    ):
        await clients.answers(100)
        await clients.hold()
        on_disk = _synchronised(valkey)
        cut = time.monotonic()
        await clients.hold(after=REWIND_LIMIT)
        valkey.kill()
        os.truncate(_log_of(valkey), on_disk)
        valkey.start()
        tail = Tail(cut, time.monotonic(), waited=True)
        await clients.allow()
        await clients.answers(100)
    events = await rewound(place)
    assert [event.by for event in events] == [REWIND_LIMIT] * CLIENTS
    assert not violations(clients.calls, events, tails=[tail], may_rewind=REWIND_LIMIT)


def _log_of(valkey: Redis) -> Path:
    (file,) = (valkey.folder / "appendonlydir").glob("*.incr.aof")
    return file


def _synchronised(valkey: Redis) -> int:
    """The size of its log, once all of that is on the disk."""
    with valkey.client() as client:
        client.set("mark", "")
        assert client.execute_command("WAITAOF", 1, 0, 5000)[0] == 1
    return _log_of(valkey).stat().st_size


async def test_a_server_that_hangs_or_is_full_is_waited_for(
    valkey: Redis, place: Place, tmp_path: Path
) -> None:
    """Meanwhile 503 with Retry-After; then all goes on, and nothing was lost."""
    async with serving(tmp_path, place) as servers, load(servers, seed=44) as clients:
        await clients.answers(50)
        valkey.process.send(signal.SIGSTOP)
        await clients.answers(1, 503)
        valkey.process.send(signal.SIGCONT)
        await clients.answers(50)
        with valkey.client() as client:
            client.config_set("maxmemory", 1)
            await clients.answers(1, 503)
            client.config_set("maxmemory", 0)
        await clients.answers(50)
    assert violations(clients.calls, await rewound(place)) == []
