"""Kill -9 of `watchword serve`, again and again under load, over each store."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.history import violations
from tests.faults.load import load
from tests.faults.serving import rewound, serving
from tests.servers.stores import STORES


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.slow)])
# Kills of the database itself are tests/faults/test_postgresql.py.
@pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgresql-16", marks=pytest.mark.slow)]
)
async def test_killed_servers_lose_nothing(
    store: str, kills: int, tmp_path: Path
) -> None:
    """Of two servers one is killed in turn; every history follows the rule."""
    draw = random.Random(41)
    place = STORES[store].place(tmp_path)
    async with serving(tmp_path, place) as servers, load(servers, seed=41) as clients:
        number = 0
        # On a busy machine some of the kills hit no request in flight.
        while number < kills or clients.healed <= kills:
            await clients.answers(draw.randrange(10, 50))
            servers[number % 2].kill()
            await servers[number % 2].start()
            number += 1
    assert violations(clients.calls, await rewound(place)) == []
