"""The outermost layer: a request id, security headers on every answer, one log line.

The log has the path as the router saw it, escaped, never the query: people put tokens
there. Lines are written together a few times a second, not one system call each.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

_log = logging.getLogger("watchword.access")
FLUSH_SECONDS: Final = 0.2

_ALWAYS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_CSP: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
# ASVS 5.0 3.4.1: at least a year, with subdomains.
_HSTS: Final = (
    b"strict-transport-security",
    b"max-age=63072000; includeSubDomains",
)


class Edge:
    """Wraps `send` once; everything that is said of every answer is said here."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._counter = itertools.count(1)
        self._lines: list[str] = []
        self._flushing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)  # the lifespan: until the end
            self._flush()
            return
        begun = time.perf_counter()
        number = f"{os.getpid():x}-{next(self._counter):x}"
        status = 0

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                own = [*_ALWAYS, (b"x-request-id", number.encode())]
                if not any(name == b"content-security-policy" for name, _ in headers):
                    own.append(_CSP)
                if scope["scheme"] == "https":
                    own.append(_HSTS)
                message["headers"] = [*headers, *own]
            await send(message)

        try:
            await self._application(scope, receive, send_with_headers)
        finally:
            self._write(scope, number, status, time.perf_counter() - begun)

    def _write(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        client = scope["client"]
        self._lines.append(
            f"{client[0] if client else '-'} {scope['method']} "
            f"{_escaped(scope['path'])} {status} {scope.get('problem', '-')} "
            f"{seconds * 1000:.1f}ms {number}"
        )
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        lines, self._lines = self._lines, []
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stderr.write("".join(f"{stamp} {line}\n" for line in lines))


def _escaped(path: str) -> str:
    """One line of visible ASCII, whatever was sent; and not endless."""
    if path.isascii() and path.isprintable() and len(path) < 200:
        return path.replace(" ", "%20")
    return ascii(path[:200])[1:-1].replace(" ", "%20")
