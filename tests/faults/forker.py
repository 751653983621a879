"""Serves as `watchword serve` does, as often as asked, without importing it each time.

A password costs as little as it can.

    python forker.py

Reads one server a line: its command line, its environment, its log. Forks; the child
becomes that server, and its id is printed. All go with standard input's end.

A start costs a tenth of a second so: a story can afford to kill thirty servers.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from watchword.bootstrap import open_watchword
from watchword.cli import main
from watchword.passwords import INSECURE_FOR_TESTS

LATE = (
    "watchword.server",
    *(f"watchword.stores.{kind}" for kind in ("postgresql", "redis", "sqlite")),
)
"""What commands import when they need it."""


def _serve(command: list[str], environment: dict[str, str], log: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(environment)
    if (clock := environment.get("CLOCK_OFF_BY")) is not None:
        _set_clock(Path(clock))
    sys.argv = ["watchword", *command]
    main()


def _set_clock(file: Path) -> None:
    """A machine whose clock is off by the seconds that the file says at that time."""
    true = time.time_ns
    time.time_ns = lambda: true() + int(file.read_text()) * 1_000_000_000


def run() -> None:
    for name in (*LATE, *sys.argv[1:]):
        import_module(name)
    wrapped = open_watchword.__wrapped__  # type: ignore[attr-defined]
    wrapped.__kwdefaults__["hashing"] = INSECURE_FOR_TESTS
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to wait for them
    children: list[int] = []
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        child = os.fork()
        if not child:
            _serve(**order)
            os._exit(0)
        children.append(child)
        print(child, flush=True)  # noqa: T201
    for child in children:
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    run()
