"""Runs programs of the tests as servers, without importing the server each time.

    python -P forker.py

Reads an order a line. One with `arguments` forks: the child runs that file, and its id
is printed. One with `ended`, the id of a child, is answered by its exit code.

A start costs a tenth of a second so: a story can afford to kill thirty servers.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import sys
from importlib import import_module
from typing import Any

from watchword.cli import main  # noqa: F401 - what the programs import

LATE = (
    *("watchword.bootstrap", "watchword.server"),
    *(f"watchword.stores.{kind}" for kind in ("postgresql", "redis", "sqlite")),
)
"""What commands import when they need it."""


def _become(
    arguments: list[str],
    environment: dict[str, str],
    log: str,
    folder: str,
    files: tuple[int, int] | None,
) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(out)
    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    runpy.run_path(arguments[0], run_name="__main__")


def run() -> None:
    for name in LATE:
        import_module(name)
    gc.freeze()
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        if "ended" in order:
            status = os.waitpid(order["ended"], 0)[1]
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                _become(**order)
                return  # and end as a program does
        print(answer, flush=True)  # noqa: T201


if __name__ == "__main__":
    run()
