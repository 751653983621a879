"""PostgreSQL lost with the newest writes, or without: its replica takes over.

The servers know both by one URL and are not started again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.history import Tail, violations
from tests.faults.load import HONEST, USUAL, Mix, load
from tests.faults.serving import rewound, serving
from tests.patience import auntil
from tests.servers.postgresql import Postgresql
from watchword.core.limits import REWIND_LIMIT
from watchword.testing.store_contract.backend import Place

CLIENTS = 8
NAME = "standby"


class Pair:
    """A primary, a replica that follows it, and the URL that names both."""

    def __init__(self, primary: Postgresql) -> None:
        self.primary = primary
        self.has_primary = True
        self.replica = Postgresql().follow(primary, NAME).start()
        url = primary.new_database()
        both = f":{primary.port},127.0.0.1:{self.replica.port}/"
        self.place = Place(url.replace(f":{primary.port}/", both), None)

    async def is_even(self, state: str) -> None:
        """The replica is in that state of synchrony, and has everything."""
        await self._until(
            "SELECT 1 FROM pg_stat_replication"
            f" WHERE sync_state = '{state}' AND replay_lsn = pg_current_wal_lsn()"
        )

    async def cut(self) -> None:
        """The replica hears nothing any more."""
        await asyncio.to_thread(self.replica.set, primary_conninfo="")
        await self._until("SELECT 1 WHERE NOT EXISTS (TABLE pg_stat_replication)")

    async def _until(self, condition: str) -> None:
        await auntil(lambda: asyncio.to_thread(self.primary.execute, condition))

    def fail_over(self) -> None:
        """The primary dies; the replica is one when this returns."""
        if self.has_primary:
            self.has_primary = False
            self.primary.kill()
            self.replica.promote()


@pytest.fixture(scope="module")
def alive() -> Iterator[list[Postgresql]]:
    """The one that is the primary after the failovers so far."""
    primaries = [Postgresql().init().start()]
    yield primaries
    primaries[-1].kill()


@pytest.fixture
def pair(alive: list[Postgresql]) -> Iterator[Pair]:
    made = Pair(alive[-1])
    yield made
    made.fail_over()
    made.replica.set(synchronous_standby_names="")
    alive.append(made.replica)


async def test_what_an_asynchronous_replica_lacks_is_healed(
    pair: Pair, tmp_path: Path
) -> None:
    """Up to the limit, sessions go on by rewinding. The rest is gone, as documented.

    Who signed in meanwhile signs in again; who logged out meanwhile is signed in again.
    """
    place = pair.place
    async with (
        serving(tmp_path, place) as servers,
        load(servers, seed=51, clients=CLIENTS) as clients,
    ):
        _, undone = await clients.until_answered("login")
        await clients.answers(200)
        await clients.hold()
        clients.mix = HONEST
        await pair.is_even("async")
        cut = time.monotonic()
        await pair.cut()
        await clients.until_answered("logout", undone)
        _, unknown = await clients.until_answered("login")
        await clients.allow(REWIND_LIMIT)
        await clients.answers(CLIENTS * REWIND_LIMIT // 2)
        await asyncio.to_thread(pair.fail_over)
        tail = Tail(cut, time.monotonic())
        await clients.allow()
        await clients.answers(200)
        for tokens, code in ((undone, "ok"), (unknown, "refresh_invalid")):
            call, _ = await clients.until_answered(
                "refresh", tokens, "one-more-refresh"
            )
            assert call.code == code
    events = await rewound(place)
    assert events
    assert not violations(clients.calls, events, tails=[tail], may_rewind=REWIND_LIMIT)


async def test_a_synchronous_standby_has_all_that_was_acknowledged(
    pair: Pair, tmp_path: Path
) -> None:
    """Also where it was cut off before, and every commit waited for it in vain."""
    await asyncio.to_thread(pair.primary.set, synchronous_standby_names=NAME)
    await pair.is_even("sync")
    place = pair.place
    async with serving(tmp_path, place) as servers, load(servers, seed=52) as clients:
        await clients.answers(200)
        await pair.cut()
        clients.mix = Mix(logout=0.1, theft=0.1)
        await clients.answers(CLIENTS // 2, status=503)
        clients.mix = USUAL
        await asyncio.to_thread(pair.fail_over)
        await clients.answers(200)
    assert violations(clients.calls, await rewound(place)) == []
