"""A server as a process of its own, forked from one that has imported it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.servers.process import at_end

_FORKER: Final = Path(__file__).with_name("forker.py")


class _Forker:
    """The process that all of them are forked from."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_FORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest, which ends them
        )
        at_end(self._process.communicate)

    def ask(self, **order: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


_forker: Final = cache(_Forker)


class Forked:
    """As `subprocess.Popen`, in what tests ask of it.

    `arguments` are those of `python`: a file, and what it is given. What it prints goes
    to the end of `log`. `files` is how many it may open: the soft and the hard limit.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        files: tuple[int, int] | None = None,
    ) -> None:
        self.returncode: int | None = None
        self.pid = _forker().ask(
            arguments=list(arguments),
            environment=dict(environment),
            log=str(log.absolute()),
            folder=str(Path.cwd()),
            files=files,
        )
        # The forker keeps what has ended until it is asked: no other has this id.
        self._handle = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        if self.returncode is None and select.select([self._handle], [], [], 0)[0]:
            self._note()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""
        if self.returncode is None:
            if not select.select([self._handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self._note()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _note(self) -> None:
        self.returncode = _forker().ask(ended=self.pid)
        os.close(self._handle)
