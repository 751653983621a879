"""Nothing that the tests start outlives them, not even where pytest is killed.

    python guard.py FOLDER SECONDS

Every process of a run has the run's FOLDER in its environment. Servers that write their
title over their environment are noted in it besides. This program is started with the
run. When its standard input ends, the run is over: whatever still runs is killed, and
named on standard output. FOLDER is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

MARK: Final = "FOLDER_OF_THE_TESTS"
ENDING = 10.0
"""Seconds that a process has to end which was told to when the run was over."""
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 << 30


def memory() -> Path | None:
    """Where files are held in memory and a program may lie, if there is room enough.

    Nothing that the tests do outlives the machine, so no disk has to be waited for: a
    process that is killed leaves the same files either way.
    """
    if not _MEMORY.is_dir():
        return None
    found = os.statvfs(_MEMORY)
    room = found.f_bavail * found.f_frsize >= _ROOM
    return _MEMORY if room and not found.f_flag & os.ST_NOEXEC else None


class Guard:
    """The guard of a whole run: the workers of pytest-xdist are part of one."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="ww-", dir=memory())
        Path(self._folder).chmod(0o755)  # PostgreSQL may run as another user
        self._process = subprocess.Popen(
            [sys.executable, "-IS", __file__, self._folder, str(ENDING)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # what is sent to pytest's group passes it by
        )
        os.environ[MARK] = os.environ["TMPDIR"] = self._folder
        tempfile.tempdir = None  # what was found out before

    def over(self) -> list[str]:
        """The processes that outlived the run, though it has come to its end."""
        os.environ.pop(MARK, None)
        return self._process.communicate("over")[0].splitlines()


def folder() -> Path | None:
    """The folder of the run, for files that go with it; None where there is no run."""
    name = os.environ.get(MARK)
    return None if name is None else Path(name)


def note(pid: int) -> None:
    """A process whose environment cannot be read belongs to the run."""
    run = folder()
    if run is not None:
        with suppress(OSError):  # it has ended
            (run / f"{pid}-{_stat(pid)[1]}").touch()


def _stat(pid: int) -> tuple[str, str]:
    """The state of a process, and when it began: a pid alone may be used again."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]


def _belongs(pid: int, run: Path) -> bool:
    with suppress(OSError):  # it has ended
        state, began = _stat(pid)
        if state in "ZX":
            return False
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return (
            f"{MARK}={run}".encode() in variables or (run / f"{pid}-{began}").exists()
        )
    return False


def _running(run: Path) -> dict[int, str]:
    """What there is of that run, by pid: its command."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        pid = int(entry.name)
        if pid != os.getpid() and _belongs(pid, run):
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found[pid] = command.decode(errors="replace").strip()
    return found


def _end(run: Path, seconds: float) -> list[str]:
    """Kill what has not ended after so many seconds: which processes that were."""
    killed: dict[int, str] = {}
    deadline = time.monotonic() + seconds
    while _running(run) and time.monotonic() < deadline:
        time.sleep(0.05)
    while found := _running(run):
        killed |= found
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return [f"{pid} {command}" for pid, command in killed.items()]


if __name__ == "__main__":
    ended = sys.stdin.read() == "over"
    killed = _end(Path(sys.argv[1]), float(sys.argv[2]) if ended else 0)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    if ended:  # else pytest was killed, and reads nothing
        sys.stdout.write("\n".join(killed))
