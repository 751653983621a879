"""docs/verifier.md: each program prints what the page says, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.pages import ROOT, Block, blocks_of, clean_environment, rows_of
from tests.server.following import Follower
from tests.server.live import Live
from tests.verify.proving import ath_of
from tests.verify.test_live import Device
from watchword.verify import Health

PAGE: Final = ROOT / "docs/verifier.md"
ISSUER: Final = "https://login.example.org"
BLOCKS: Final = blocks_of(PAGE)
PROGRAMS: Final = [place for place, one in enumerate(BLOCKS) if one.kind == "python"]


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Follower]:
    with Live(tmp_path_factory.mktemp("docs") / "data") as live:
        live.login()
        yield Follower(live)


@pytest.mark.parametrize("place", PROGRAMS)
def test_the_programs_print_what_the_page_says(
    follower: Follower, tmp_path: Path, place: int
) -> None:
    live, expected = follower.live, BLOCKS[place + 1]
    assert expected.kind == "text"
    device, url = Device(live), "https://orders.example.org/orders"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _here(BLOCKS[place], live)],
        cwd=tmp_path,
        env=clean_environment(
            FEED_SECRET=follower.credentials[1],
            ACCESS_TOKEN=live.login()["accessToken"],
            BOUND_TOKEN=device.access,
            PROOF=device.proof("GET", url, ath=ath_of(device.access)),
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (expected.text, "")


def test_the_line_for_the_feed_is_answered_so(follower: Follower) -> None:
    (place,) = [place for place, one in enumerate(BLOCKS) if one.kind == "sh"]
    done = subprocess.run(
        ["bash", "-eu", "-c", _here(BLOCKS[place], follower.live)],
        env=clean_environment(secret=follower.credentials[1]),
        capture_output=True,
        text=True,
        check=True,
    )
    shown, told = json.loads(BLOCKS[place + 1].text), json.loads(done.stdout)
    measured = ("cursor", "now", "completeAsOf")
    assert list(shown) == list(told)
    assert [v for k, v in shown.items() if k not in measured] == [
        v for k, v in told.items() if k not in measured
    ]


def test_every_field_of_health_is_on_the_page() -> None:
    cells = " ".join(row[0] for row in rows_of(PAGE, "| field | what it is |"))
    assert cells.replace("`", "").replace(",", "").split() == [
        field.name for field in msgspec.structs.fields(Health)
    ]


def _here(block: Block, live: Live) -> str:
    assert ISSUER in block.text
    return block.text.replace(ISSUER, live.url)
