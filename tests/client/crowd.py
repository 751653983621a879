"""Many client processes with one session file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUNNER = Path(__file__).with_name("runner.py")


class Crowd:
    """Processes of so many tasks each; see `crowd`."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def tell(self, ahead: float) -> None:
        """Every task asks once, its clocks being so far ahead."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{ahead}\n")
            process.stdin.flush()

    def heard(self) -> Counter[str]:
        """How often they got which status or error."""
        got: Counter[str] = Counter()
        for process in self.processes:
            assert process.stdout is not None
            got.update(json.loads(process.stdout.readline()))
        return got

    def ask(self, ahead: float) -> Counter[str]:
        self.tell(ahead)
        return self.heard()


@contextmanager
def crowd(
    issuer: str, api: str, file: Path, *, processes: int, tasks: int
) -> Iterator[Crowd]:
    """So many processes, ready."""
    command = [sys.executable, str(RUNNER), issuer, api, str(file), str(tasks)]
    started = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield Crowd(started)
    finally:
        for process in started:
            process.kill()
            process.communicate()
