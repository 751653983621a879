"""Serves as `watchword serve` does, and dies where a test wants it to.

    python runner.py [--die-before-commit FILE | --die-after-commit FILE] -- FLAGS

With FILE there, the next swap of a session kills the process as kill -9 would: before
its transaction is committed, or after it is on the disk and before anybody hears of it.
A password costs as little as it can, but where workers of their own make the hash.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from watchword.bootstrap import open_watchword
from watchword.cli import main
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.sessions import Change
from watchword.stores.sqlite.sessions import SqliteSessions


def _die(file: Path) -> None:
    if file.exists():
        os.kill(os.getpid(), signal.SIGKILL)


def _arm(when: str, file: Path) -> None:
    swap = SqliteSessions.swap

    async def deadly(self: SqliteSessions, changes: Sequence[Change]) -> Sequence[bool]:
        if when == "--die-before-commit":
            _die(file)
        swapped = await swap(self, changes)
        if when == "--die-after-commit":
            _die(file)
        return swapped

    SqliteSessions.swap = deadly  # type: ignore[method-assign]  # the fault under test


if __name__ == "__main__":
    split = sys.argv.index("--")
    ours, flags = sys.argv[1:split], sys.argv[split + 1 :]
    if ours:
        _arm(ours[0], Path(ours[1]))
    if "WATCHWORD_WORKERS" not in os.environ:
        wrapped = open_watchword.__wrapped__  # type: ignore[attr-defined]
        wrapped.__kwdefaults__["hashing"] = INSECURE_FOR_TESTS
    sys.argv = ["watchword", "serve", *flags]
    main()
