"""The redirect URI of a program: a server on this machine, for one answer (RFC 8252).

It runs in a thread of its own, because browsers open connections ahead of time and send
nothing on them. It ends once it has the answer, or is not wanted any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final

from watchword.client.runners import Flight

PATH: Final = "/callback"
_LOOK: Final = 0.1
_SILENT: Final = 10
_DONE: Final = "You can close this window", "The sign-in goes on in your program."
_OTHER: Final = "Nothing to see here", "This is not the answer to a sign-in."
_PAGE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark">'
    "<title>{0}</title><main><h1>{0}</h1><p>{1}</p></main></html>"
)


class Loopback:
    """Waits at `redirect_uri` for an answer, until `close` is called.

    `arrived` is done when it waits no more. `address` is where the answer came to, and
    empty where none came.
    """

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.takes, self._server.came = self._takes, self._came
        self._server.timeout = _LOOK
        port = self._server.server_address[1]
        self.redirect_uri: Final = f"http://127.0.0.1:{port}{PATH}"
        self.arrived: Final = Flight()
        self.arrived.set_running_or_notify_cancel()  # a waiting task cannot cancel it
        self.address = ""
        self._is_answer: Callable[[str], bool] | None = None
        self._guard = threading.Lock()

    def listen(self, is_answer: Callable[[str], bool]) -> None:
        """Begin to wait, for a request whose address `is_answer` takes.

        Others are refused and forgotten: any page on the web can send one here.
        """
        self._is_answer = is_answer
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Wait no more. The port is free a moment later."""
        with self._guard:
            if not self.arrived.done():
                self.arrived.set_result(None)
        if self._is_answer is None:
            self._server.server_close()

    def _serve(self) -> None:
        with self._server:
            while not self.arrived.done():
                self._server.handle_request()

    def _takes(self, path: str) -> bool:
        assert self._is_answer is not None  # noqa: S101 - set before the thread runs
        return path.partition("?")[0] == PATH and self._is_answer(path)

    def _came(self, path: str) -> None:
        with self._guard:
            if not self.arrived.done():
                self.address = path
                self.arrived.set_result(None)


class _Server(ThreadingTCPServer):
    # The server of `http.server` would look up the name of the address first.
    daemon_threads = True
    takes: Callable[[str], bool]
    came: Callable[[str], None]

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - socketserver's own
        """A browser that hangs up is no fault of the program."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENT
    server_version, sys_version = "watchword", ""

    def do_GET(self) -> None:
        """Answer with a page, before the program goes on and perhaps ends."""
        is_answer = self.server.takes(self.path)
        try:
            self._show(is_answer=is_answer)
        finally:
            if is_answer:
                self.server.came(self.path)

    def _show(self, *, is_answer: bool) -> None:
        body = _PAGE.format(*(_DONE if is_answer else _OTHER)).encode()
        self.send_response(HTTPStatus.OK if is_answer else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged: the address has the code in it."""
