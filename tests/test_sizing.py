"""docs/sizing.md: its sums are right, and begin with numbers of the program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.pages import ROOT, blocks_of
from tests.rows import in_one
from watchword.core import limits
from watchword.server.serve import KEEP_ALIVE_SECONDS
from watchword.stores.postgresql.pool import SIZE
from watchword.stores.redis.keys import BUCKETS
from watchword.stores.redis.node import CONNECTIONS

PAGE: Final = ROOT / "docs/sizing.md"


def sums() -> Iterator[tuple[str, str, str]]:
    """Each line of the arithmetic: what it is about, the sum, and the result."""
    for block in blocks_of(PAGE):
        if block.kind == "text":
            for line in block.text.splitlines():
                label, given = re.split(r" {2,}", line, maxsplit=1)
                yield label, *given.split(" = ")


@in_one(("label", "given", "result"), list(sums()))
def test_the_arithmetic_is_right(label: str, given: str, result: str) -> None:
    assert re.fullmatch(r"[\d,.×/+() ]+", given), label
    value = eval(given.replace(",", "").replace("×", "*"))
    shown = result.split(maxsplit=1)[0].replace(",", "")
    places = len(shown.partition(".")[2])
    assert f"{value:.{places}f}" == shown


def test_what_is_reckoned_with_is_what_the_program_does() -> None:
    text = " ".join(PAGE.read_text().split())
    days = limits.REFRESH_IDLE // limits.DAY, limits.REFRESH_ABSOLUTE // limits.DAY
    for sentence in (
        f"{limits.ACCESS_TTL // limits.SECOND} by default",
        f"{days[0]} days after its last refresh, and {days[1]} days after the sign-in",
        f"expired sessions are kept for {limits.SWEEP_AFTER // limits.DAY} days more",
        f"× 2 × {limits.AUDIT_RETENTION // limits.DAY} days",
        f"64 series, each minute of {limits.STATS_KEPT // limits.DAY} days",
        f"figures {limits.STATS_MAX} × 1,440 × {limits.STATS_KEPT // limits.DAY}",
        f"× webhooks × {limits.WEBHOOK_SHOWN // limits.DAY} days",
        f"connections {SIZE} × 8 = 64",
        f"connections to it 111 × {CONNECTIONS} = 666",
        f"{BUCKETS} masters are the most that can share them",
        f"reads on a master 150 × {limits.SECOND // limits.FEED_POLL} × {BUCKETS} / 32",
        f"closed after {KEEP_ALIVE_SECONDS} seconds",
    ):
        assert sentence in text
