"""A server whose clock is set an hour forward and back, beside one that is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.history import violations
from tests.faults.load import Mix, load
from tests.faults.serving import rewound, serving
from tests.servers.stores import STORES

HOUR = 3600


@pytest.mark.parametrize("store", ["sqlite", "postgresql-16"])
async def test_clock_that_jumps_logs_nobody_out(store: str, tmp_path: Path) -> None:
    """Refreshes, retries, thefts and logouts at both servers follow the rule."""
    place = STORES[store].place(tmp_path)
    off_by = tmp_path / "off-by"
    off_by.write_text("0")
    aside = off_by.with_suffix(".new")
    # What one signs is from the future for the other, or past: not looked at here.
    mix = Mix(logout=0.02, theft=0.02, twice=0.05, secure=0)
    async with (
        serving(tmp_path, place, "A", CLOCK_OFF_BY=str(off_by)) as (first,),
        serving(tmp_path, place, "B") as (second,),
        load([first, second], seed=61, mix=mix) as clients,
    ):
        for hours in (1, -1, 0):
            aside.write_text(str(hours * HOUR))
            aside.replace(off_by)  # never half of it
            await clients.answers(100)
    assert violations(clients.calls, await rewound(place)) == []
