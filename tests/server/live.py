"""A server as a process of its own, and raw connections to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.patience import PATIENCE, until
from tests.servers.forked import Forked
from tests.servers.process import end, free_port

PASSWORD = "correct-horse-battery-staple-41"
RUNNER = Path(__file__).with_name("runner.py")
PROGRAM = Path(sys.executable).with_name("watchword")


class Live:
    """`watchword serve` on a data folder; `seconds` is the deadline for a request.

    With a `clock` time passes where the test says so: `advance`. `files` is how many it
    may open: the soft and the hard limit.
    """

    def __init__(
        self,
        data: Path,
        *flags: str,
        seconds: float = 0,
        program: bool = False,
        clock: bool = False,
        files: tuple[int, int] | None = None,
        context: ssl.SSLContext | None = None,
        port: int = 0,
        **environment: str,
    ) -> None:
        self.data = data
        self.context = context
        self.host = "127.0.0.1"
        self._log = data.parent / f"{data.name}.log"
        self.port = port or free_port()
        self._program = program
        self._files = files
        front = [str(PROGRAM), "serve"] if program else [str(RUNNER), str(seconds)]
        self._command = [*front, "--data", str(data), "--port", str(self.port), *flags]
        outside = {k: v for k, v in os.environ.items() if "WATCHWORD" not in k}
        given = {"WATCHWORD_ADMIN_PASSWORD": PASSWORD, **environment}
        self._clock = data.parent / f"{data.name}.clock"
        if clock:
            self._clock.write_text("0")
            given["CLOCK_OFF_BY"] = str(self._clock)
        self._environment = outside | given
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | Forked:
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self) -> Self:
        if self._program:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        else:
            self._process = Forked(
                self._command, self._environment, self._log, files=self._files
            )
        try:
            until(self._answers)
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.printed()
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return end(self.process)

    @property
    def off_by(self) -> int:
        """Seconds that its clock is ahead of the machine's."""
        return int(self._clock.read_text())

    def advance(self, seconds: int) -> None:
        """Time passes for the server alone."""
        aside = self._clock.with_suffix(".new")
        aside.write_text(str(self.off_by + seconds))
        aside.replace(self._clock)  # never half of it

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def printed(self) -> str:
        return self._log.read_text(errors="replace")

    def resident_kib(self) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def connect(self) -> socket.socket:
        raw = socket.create_connection((self.host, self.port), timeout=PATIENCE)
        if self.context is None:
            return raw
        try:
            return self.context.wrap_socket(raw, server_hostname="127.0.0.1")
        except OSError:
            raw.close()
            raise

    def talk(self, *pieces: bytes, pause: float = 0) -> bytes:
        """Send, and read until the server closes or has answered once."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            return read_answer(connection)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        access: str | None = None,
        **headers: str,
    ) -> Answer:
        """One request over a connection of its own."""
        raw = b"" if body is None else json.dumps(body).encode()
        given = {"Host": "localhost", "Connection": "close"}
        if body is not None:
            given |= {"Content-Type": "application/json"}
            given |= {"Content-Length": str(len(raw))}
        if access is not None:
            given["Authorization"] = f"Bearer {access}"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(self.talk(request(method, path, given, raw)))

    def login(self) -> Any:
        body = {"username": "admin", "password": PASSWORD}
        answer = self.call("POST", "/api/auth/login", body)
        assert answer.status == 200, answer.raw
        return answer.json()


def request(
    method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_answer(connection: socket.socket) -> bytes:
    """One answer with a Content-Length, or what came until the connection closed."""
    received = b""
    while True:
        head, found, body = received.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            return received
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return received
        if not more:
            return received
        received += more


def _length(head: bytes) -> int:
    if head.startswith(b"HTTP/1.1 100 "):
        return 1 << 40  # the answer proper is still to come
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


class Answer:
    """An answer as it came over the wire."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split()
        self.status = int(words[1]) if len(words) > 1 else 0
        pairs = [line.partition(":") for line in lines[1:]]
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """`ok`, or the code of the problem that it must then be."""
        if self.status < 400:
            return "ok"
        assert self.headers["content-type"] == "application/problem+json", self.raw
        problem = self.json()
        assert problem["status"] == self.status
        return str(problem["code"])
