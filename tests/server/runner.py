"""Serves as `watchword serve` does, with shorter deadlines where a test says so.

    python runner.py SECONDS FLAGS…

A deadline of ten seconds is tested with one of half a second, a password costs as
little as it can, mail is looked for twenty times a second, and the clock may be set
while it runs (CLOCK_OFF_BY).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from watchword.bootstrap import open_watchword
from watchword.cli import main
from watchword.core import limits
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.server import deadlines, handshakes, outgoing


def set_clock(file: Path) -> None:
    """Off by the seconds that the file says at that time."""
    true = time.time_ns
    time.time_ns = lambda: true() + int(file.read_text()) * 1_000_000_000


if __name__ == "__main__":
    if float(sys.argv[1]):
        for module in (deadlines, handshakes):
            module.SECONDS_TO_SEND = float(sys.argv[1])  # type: ignore[attr-defined]
        outgoing.SECONDS_TO_READ = float(sys.argv[1])  # type: ignore[misc,assignment]
    wrapped = open_watchword.__wrapped__  # type: ignore[attr-defined]
    wrapped.__kwdefaults__["hashing"] = INSECURE_FOR_TESTS
    limits.MAIL_POLL = 50  # type: ignore[misc]
    if (clock := os.environ.get("CLOCK_OFF_BY")) is not None:
        set_clock(Path(clock))
    sys.argv = ["watchword", "serve", *sys.argv[2:]]
    main()
