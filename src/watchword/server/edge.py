"""The outermost layer: security headers on every answer, one log line for each.

Paths are matched as they were sent, without decoding. The log has the path as it was
sent, escaped and without tokens. It never has the query, because callers put tokens
there. Lines are written together a few times a second, to save system calls.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.core.network import plain_address
from watchword.server.problems import respond

Endpoint = Callable[[Request], Awaitable[Response]]
Header = tuple[bytes, bytes]

FLUSH_SECONDS: Final = 0.2
PATH_SHOWN: Final = 200
_METHOD_SHOWN: Final = 16  # a method may be any word, of any length (RFC 9110 §9.1)
# All of our own paths are shorter than this; every token is longer.
PATH_PLAIN: Final = 40
# Characters that mean the same when they are escaped (RFC 3986 §2.3).
_UNRESERVED: Final = re.compile(
    r"%(2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)", re.IGNORECASE
)
_TOKEN: Final = re.compile(r"ww_(?:rt|cs)_[\w-]+|eyJ[\w.-]+", re.ASCII)

_ALWAYS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
# ASVS 5.0 3.4.1: at least a year, with subdomains.
_HSTS: Final = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
# Pages with a policy of their own do not get this one: a browser would enforce both.
_NO_PAGE: Final = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'",
)
_OWN_POLICY: Final = frozenset({"/", "/docs"})
# The prefix of an IPv4 client's address on a socket that accepts IPv6 and IPv4.
_MAPPED: Final = "::ffff:"
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"


class Edge:
    """Adds what every answer has: security headers, and a line in the access log.

    The `hot` endpoints, by method and exact path, are called directly. `logged` is
    False inside an application that has a log of its own.
    """

    def __init__(
        self,
        application: ASGIApp,
        hot: Mapping[tuple[str, str], Endpoint],
        *,
        logged: bool = True,
    ) -> None:
        self._application = application
        self._hot = hot
        self._logged = logged
        self._lines: list[str] = []
        self._flushing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The lifespan: returns when the process is about to end.
            await self._application(scope, receive, send)
            self._flush()
            return
        scope = _unescaped(scope)
        begun = time.perf_counter()
        status = 0
        client = scope["client"]
        if client is not None and client[0].startswith(_MAPPED):
            scope["client"] = (plain_address(client[0]), client[1])

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _complete(message["headers"], scope)
            await send(message)

        endpoint = self._hot.get((scope["method"], scope["path"]))
        try:
            if "refused" in scope:
                await respond(scope["refused"], scope)(
                    scope, receive, send_with_headers
                )
            elif endpoint is None:
                await self._application(scope, receive, send_with_headers)
            else:
                response = await _answer(endpoint, scope, receive)
                status = response.status_code
                headers = _complete(response.raw_headers, scope)
                await send(
                    {"type": _START, "status": status, "headers": headers},
                )
                await send({"type": _BODY, "body": response.body})
        finally:
            if self._logged:
                self._write(scope, status, time.perf_counter() - begun)

    def _write(self, scope: Scope, status: int, seconds: float) -> None:
        client = scope["client"]
        self._lines.append(
            f"{client[0] if client else '-'} {scope['method'][:_METHOD_SHOWN]} "
            f"{_shown(scope['path'])} {status} {scope.get('problem', '-')} "
            f"{seconds * 1000:.1f}ms"
        )
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushing = False
        lines, self._lines = self._lines, []
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stderr.write("".join(f"{stamp} {line}\n" for line in lines))


def _unescaped(scope: Scope) -> Scope:
    """The scope with the path as it was sent: only that spelling is matched.

    None of our paths needs an escape. If a path with `%2f` or `%61` were decoded, it
    could pass the rules of a proxy as one path and be answered here as another.
    """
    raw = scope.get("raw_path")
    if raw is None or b"%" not in raw:
        return scope
    return {**scope, "path": raw.decode("latin-1")}


async def _answer(endpoint: Endpoint, scope: Scope, receive: Receive) -> Response:
    try:
        return await endpoint(Request(scope, receive))
    except ClientDisconnect:
        return Response(status_code=400)  # the client has gone and will not read it
    except Exception as error:  # noqa: BLE001 - respond() maps it, or logs it
        response = respond(error, scope)
        scope["problem"] = getattr(response, "code", "-")
        return response


def _complete(headers: list[Header], scope: Scope) -> list[Header]:
    complete = [*headers, *_ALWAYS]
    own = scope["path"] in _OWN_POLICY
    if not own or all(name != _NO_PAGE[0] for name, _ in headers):
        complete.append(_NO_PAGE)
    if scope["scheme"] == "https":
        complete.append(_HSTS)
    # A client that sent a proof gets the nonce for its next one (RFC 9449 §8.2).
    if "nonces" in scope:
        complete.append((b"dpop-nonce", scope["nonces"].current().encode()))
    return complete


def _shown(path: str) -> str:
    return _usual(path) if len(path) <= PATH_PLAIN else _escaped(path)


def _escaped(path: str) -> str:
    """The path as visible ASCII in one line: without tokens, and of bounded length."""
    if len(path) > PATH_PLAIN:
        path = _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), path)
        path = _TOKEN.sub("[token]", path)
    shown = path[:PATH_SHOWN]
    if not (shown.isascii() and shown.isprintable()):
        shown = ascii(shown)[1:-1]
    return shown.replace(" ", "%20")


_usual: Final = lru_cache(maxsize=256)(_escaped)
"""For short paths alone: what is cached is bounded in bytes too."""
