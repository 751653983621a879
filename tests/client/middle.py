"""What stands between a client and the server: it forwards, and does as it is told."""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from tests.patience import PATIENCE

REFRESH = "/api/auth/refresh"


class Seen(NamedTuple):
    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def key(self) -> str | None:
        return self.headers["Idempotency-Key"]


class Given(NamedTuple):
    """An answer of our own."""

    status: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


LOST = Given(0)
"""The request goes on, its answer does not."""

Deed = Given | Callable[[Seen], Given | None] | None


class Middle:
    """A server of HTTP before another one, or with none behind it (port 0).

    `deeds` are what becomes of the next requests for a path, None being nothing.
    """

    def __init__(self, behind: int = 0) -> None:
        self.seen: list[Seen] = []
        self.deeds: dict[str, deque[Deed]] = {}
        self._behind = behind
        middle = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                middle._handle(self)

            do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def then(self, path: str, *deeds: Deed) -> None:
        self.deeds.setdefault(path, deque()).extend(deeds)

    def refreshes(self) -> list[Seen]:
        return [one for one in self.seen if one.path == REFRESH]

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length", "0"))
        body = request.rfile.read(length)
        seen = Seen(request.command, request.path, request.headers, body)
        self.seen.append(seen)
        waiting = self.deeds.get(request.path)
        deed = waiting.popleft() if waiting else None
        told = deed(seen) if callable(deed) else deed
        answer = self._forward(seen) if told in {None, LOST} else told
        request.close_connection = True
        if told is LOST or answer is None:
            return
        with suppress(OSError):  # whoever asked may be gone
            request.send_response(answer.status)
            for name, value in answer.headers:
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(answer.body)))
            request.send_header("Connection", "close")
            request.end_headers()
            request.wfile.write(answer.body)

    def _forward(self, seen: Seen) -> Given:
        if not self._behind:
            return Given(200)
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._behind, timeout=PATIENCE
        )
        try:
            headers = {
                k: v for k, v in seen.headers.items() if k.lower() != "connection"
            }
            connection.request(seen.method, seen.path, seen.body or None, headers)
            answer = connection.getresponse()
            kept = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower()
                not in {"content-length", "connection", "date", "server"}
            ]
            return Given(answer.status, answer.read(), tuple(kept))
        finally:
            connection.close()
