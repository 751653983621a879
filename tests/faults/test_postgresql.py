"""PostgreSQL killed, hanging, out of disk: under load, with two servers over it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.faults.history import violations
from tests.faults.load import USUAL, Mix, load
from tests.faults.serving import rewound, serving
from tests.servers.postgresql import Postgresql
from watchword.testing.store_contract.backend import Place

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def database() -> Iterator[Postgresql]:
    """One that may be hurt: the other tests have another."""
    settings = {"autovacuum": "off", "recovery_init_sync_method": "syncfs"}
    made = Postgresql(**settings).init("--wal-segsize=1").start()
    yield made
    made.kill()


@pytest.fixture
def place(database: Postgresql) -> Place:
    return Place(database.new_database(), None)


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.slow)])
async def test_kills_lose_nothing(
    database: Postgresql, place: Place, kills: int, tmp_path: Path
) -> None:
    """Killed and started again, under load: no write is lost, nobody is logged out."""
    draw = random.Random(42)
    async with serving(tmp_path, place) as servers, load(servers, seed=42) as clients:
        number = 0
        # On a busy machine some of the kills hit no request in flight.
        while number < kills or clients.healed <= kills:
            await clients.answers(draw.randrange(10, 50))
            database.kill()
            await asyncio.to_thread(database.start)
            number += 1
    assert violations(clients.calls, await rewound(place)) == []


async def test_hanging_database_is_given_up_in_time(
    database: Postgresql, place: Place, tmp_path: Path
) -> None:
    """While it hangs, 503 with Retry-After; then all go on where they were."""
    async with serving(tmp_path, place) as servers, load(servers, seed=43) as clients:
        await clients.answers(50)
        database.process.send(signal.SIGSTOP)
        await clients.answers(2, status=503)
        database.process.send(signal.SIGCONT)
        await clients.answers(50)
    assert violations(clients.calls, await rewound(place)) == []
    assert all(call.status for call in clients.calls)


async def test_full_disk_passes(
    database: Postgresql, place: Place, tmp_path: Path
) -> None:
    """Where no table can grow, a logout is 503; who needs no room goes on meanwhile."""
    async with serving(tmp_path, place) as servers, load(servers, seed=44) as clients:
        await clients.answers(50)
        _, tokens = await clients.until_answered("login")
        database.process.limit_files(2 * MEBIBYTE)
        with pytest.raises(asyncpg.PostgresError, match="File too large"):
            await asyncio.to_thread(_fill_audit_log, database, place)
        clients.mix = Mix(logout=0.1)
        await clients.answers(4, status=503)
        clients.mix = USUAL
        # A session of its own: by chance each client may be in a logout, or a sign-in.
        for number in range(20):
            key = f"the-key-of-refresh-{number}"
            answer, tokens = await clients.until_answered("refresh", tokens, key)
            assert answer.status == 200
        database.process.limit_files()
        await clients.answers(50)
    assert violations(clients.calls, await rewound(place)) == []
    assert all(call.status for call in clients.calls)


def _fill_audit_log(database: Postgresql, place: Place) -> None:
    """Write to it until there is no room."""
    row = (
        "INSERT INTO watchword.audit (type, at, address, detail) VALUES ('', 0, '', '')"
    )
    database.execute(
        f"DO $$ BEGIN LOOP {row}; END LOOP; END $$", place.url.rpartition("/")[2]
    )
