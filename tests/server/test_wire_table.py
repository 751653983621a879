"""The wire table, straight to a real server: whole, in two packets, byte by byte."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator

import pytest

from tests.server.live import Live
from tests.server.wire_table import NEXT, ROWS, Row
from tests.server.wires import exchange

# Nothing here waits for the deadline: where a machine is slow, it must not come first.
SECONDS = 300
# Byte by byte, the large rows would take longer than they tell.
SHORT = 4000


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("table") / "data"
    with Live(folder, seconds=SECONDS) as server:
        yield server
        assert server.process.poll() is None
        assert "Traceback" not in server.printed()
        assert "/smuggled" not in server.printed()


def _whole(row: Row) -> list[bytes]:
    return [row.head + row.body + NEXT]


def _apart(row: Row) -> list[bytes]:
    """As a client's segments, or a proxy, would bring the head and the body."""
    return [row.head, row.body, NEXT]


def _bytes(row: Row) -> list[bytes]:
    sent = row.head + row.body + NEXT
    return [bytes([one]) for one in sent] if len(sent) < SHORT else [sent]


@pytest.mark.parametrize("cut", [_whole, _apart, _bytes])
async def test_every_row_is_answered_as_the_standards_say(
    live: Live, cut: Callable[[Row], list[bytes]]
) -> None:
    """However it is cut into packets, and never once more than it has requests."""
    several = asyncio.Semaphore(16)

    async def statuses(row: Row) -> list[int]:
        async with several:
            received = await exchange(live.port, cut(row))
        return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]

    answers = await asyncio.gather(*map(statuses, ROWS))
    wrong = {
        f"{row.name} (RFC {row.section})": (given, row.answers)
        for row, given in zip(ROWS, answers, strict=True)
        if given != row.answers
    }
    assert wrong == {}


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
