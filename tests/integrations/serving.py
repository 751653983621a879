"""Apps under the servers that their users run them with, each a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.integrations.stories import BASE, NAME, PASSWORD
from tests.pages import ROOT
from tests.patience import PATIENCE
from tests.servers.process import Process, free_port

APPS: Final = Path(__file__).with_name("apps")


class Answered(NamedTuple):
    status: int
    headers: Any
    body: bytes

    @property
    def code(self) -> str:
        return "ok" if self.status < 400 else str(self.json()["code"])

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A server on a port of this machine."""

    def __init__(self, port: int, command: str) -> None:
        self.port = port
        self.command = command
        self.through: list[tuple[str, str]] = []  # fields that a proxy writes

    def call(
        self,
        method: str,
        path: str,
        fields: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        *,
        chunked: bool = False,
    ) -> Answered:
        """One request with these fields, over a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in [*fields, *self.through]:
                connection.putheader(name, value)
            if body is not None and chunked:
                connection.putheader("Transfer-Encoding", "chunked")
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            elif body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answered(answer.status, answer.headers, answer.read())

    def post(
        self,
        path: str,
        body: Any = None,
        fields: Iterable[tuple[str, str]] = (),
        *,
        chunked: bool = False,
    ) -> Answered:
        """A body of JSON, below the auth routes."""
        raw = None if body is None else json.dumps(body).encode()
        kind = [] if body is None else [("Content-Type", "application/json")]
        return self.call("POST", BASE + path, [*fields, *kind], raw, chunked=chunked)

    def login(self, *, chunked: bool = False, **more: Any) -> Answered:
        body = {"username": NAME, "password": PASSWORD, **more}
        return self.post("/login", body, chunked=chunked)


@contextlib.contextmanager
def serving(command: str, folder: Path, **given: str) -> Iterator[Served]:
    """The server of a command, with `{port}` in it, over the apps of `apps/`."""
    port = free_port()
    words = command.format(port=port).split()
    words[0] = str(Path(sys.executable).with_name(words[0]))
    given["PYTHONPATH"] = f"{APPS}:{ROOT}"
    served = Process(
        ["env", f"--chdir={folder}", *(f"{k}={v}" for k, v in given.items()), *words],
        folder / "log",
        lambda: _accepts(port),
    )
    try:
        served.start()
        yield Served(port, command)
    finally:
        served.kill()


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False
