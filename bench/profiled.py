"""`watchword serve` under cProfile, one profile per thread, in CPU time.

Owns the profile only: `python -m bench.profiled OUT serve …` runs the command line in
this process and writes its table to OUT when the server is told to stop. CPU time of
each thread rather than the clock's: with one core, waiting for another thread or for
the disk is not where the core goes. cProfile itself makes small functions look dearer
than they are: read the order, not the digits.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

ROWS: Final = 45
THREADS: Final = 4

profiles: dict[str, cProfile.Profile] = {}


class ThreadProfile(cProfile.Profile):
    """A profile that is read from another thread than its own."""

    def create_stats(self) -> None:
        # Not disable(): it would close the open calls with the reader's CPU clock.
        self.snapshot_stats()


def start(
    _frame: FrameType | None = None, _event: str = "", _arg: object = None
) -> None:
    """Profile the calling thread; as a profile function, from its first call on."""
    thread = threading.current_thread()
    profile = ThreadProfile(time.thread_time)
    profiles[f"{thread.name} ({thread.native_id})"] = profile
    profile.enable()


def tables() -> str:
    """The busiest threads, each with its functions by their own CPU time."""
    parts: list[tuple[float, str]] = []
    for name, profile in profiles.items():
        out = io.StringIO()
        stats = pstats.Stats(profile, stream=out)
        stats.strip_dirs().sort_stats("tottime").print_stats(ROWS)
        parts.append((stats.total_tt, f"thread {name}\n{out.getvalue()}"))  # type: ignore[attr-defined]
    busiest = sorted(parts, key=lambda part: part[0], reverse=True)
    return "\n".join(text for _, text in busiest[:THREADS])


def main() -> None:
    out = Path(sys.argv[1])
    sys.argv = ["watchword", *sys.argv[2:]]
    from watchword.cli import main as watchword  # noqa: PLC0415 - may not be there yet

    # uvicorn stops gracefully and then raises the signal again: the default action
    # would end the process before the table is written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.setprofile(start)
    start()
    try:
        watchword()
    finally:
        threading.setprofile(None)
        sys.setprofile(None)
        out.write_text(tables(), "utf-8")


if __name__ == "__main__":
    main()
