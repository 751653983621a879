"""A server as a child process: started, waited for, killed, and gone with us."""

from __future__ import annotations

import atexit
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from tests.patience import PATIENCE, until
from tests.servers import guard


def free_port(*, bus: bool = False) -> int:
    """A port that is free now; with `bus`, the one 10,000 above it is free too."""
    while True:
        with socket.socket() as probe, socket.socket() as other:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            # Below those that the system hands out: one of these could go to another
            # program before ours begins to listen.
            port = (12_000 if bus else 2_000) + port % 10_000
            with suppress(OSError):
                other.bind(("127.0.0.1", port))
                other.close()
                if not bus:
                    return port
                with socket.socket() as third:
                    third.bind(("127.0.0.1", port + 10_000))
                    return port


@cache
def scratch() -> Path:
    """A folder of this process; short, for the names of sockets are limited."""
    folder = Path(tempfile.mkdtemp(prefix="ww-", dir=guard.folder()))
    folder.chmod(0o755)  # PostgreSQL may have to run as another user
    owner = os.getpid()

    def clean() -> None:
        if os.getpid() == owner:  # not in a fork
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(clean)
    return folder


class Running(Protocol):
    """A process that was started, by `subprocess.Popen` or forked."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: signal.Signals, /) -> None: ...

    def kill(self) -> None: ...


_at_end: Final[list[Callable[[], object]]] = []


def at_end(work: Callable[[], object]) -> None:
    """Do that when the tests of this process are over."""
    _at_end.append(work)


@atexit.register
def end_all() -> None:
    """End the processes that tests share."""
    while _at_end:
        _at_end.pop()()


def wait_for(port: int, process: Running) -> None:
    """Until that process listens there."""

    def listens() -> bool:
        assert process.poll() is None, "it did not start"
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except OSError:
            return False
        return True

    until(listens)


def end(process: Running, number: signal.Signals = signal.SIGTERM) -> int:
    """Its exit code once it has ended, by that signal unless by itself.

    One that does not end in time is killed, and fails the test.
    """
    try:
        if process.poll() is None:
            process.send_signal(number)
        return process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


class Process:
    """One server. `ready` says whether it answers; `log` is where it writes."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        *,
        user: int | None = None,
    ) -> None:
        self.log = log
        self._command = list(command)
        self._ready = ready
        self._user = user
        self._child: subprocess.Popen[bytes] | None = None
        at_end(self.kill)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                start_new_session=True,
            )
        guard.note(self.pid)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers."""
        child = self._child
        assert child is not None

        def answers() -> bool:
            assert child.poll() is None, self.log.read_text(errors="replace")[-2000:]
            return self._ready()

        until(answers)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT make a server that hangs, its children too."""
        for one in self.family():
            with suppress(ProcessLookupError):
                os.kill(one, number)

    def limit_files(self, size: int | None = None) -> None:
        """Let no file of it grow beyond that, as on a full disk; or there is room."""
        limit = "unlimited" if size is None else str(size)
        for one in self.family():
            # A program, because only the same user may, if not all of root's powers.
            subprocess.run(
                ["prlimit", f"--pid={one}", f"--fsize={limit}:unlimited"],
                stderr=subprocess.DEVNULL,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
                check=one == self.pid,  # a child may have ended
            )

    def family(self) -> list[int]:
        """It, its children and theirs: PostgreSQL's are no group with it."""
        found = [self.pid]
        for one in found:
            children = Path(f"/proc/{one}/task/{one}/children")
            with suppress(OSError):
                found += map(int, children.read_text().split())
        return found

    def kill(self) -> None:
        """As the kernel or a power cut would: all of them, at once."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGSTOP)  # no more children
            for one in self.family():
                with suppress(ProcessLookupError):
                    _kill(os.pidfd_open(one))
            self._child.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """As an operator would."""
        if self._child is not None:
            end(self._child, number)


def _kill(handle: int) -> None:
    """Come back when that process is dead."""
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [])
    finally:
        os.close(handle)
