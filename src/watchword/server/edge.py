"""The outermost layer: the hot paths, and what every answer has.

Every answer has security headers, the id of its request, and a line in the access log.
Paths are matched as they were sent, without decoding.
"""

from __future__ import annotations

import time
from collections.abc import Collection, MutableMapping
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.core.network import plain_address
from watchword.metrics import NO_METRICS, Metrics
from watchword.server.access_log import AccessLog
from watchword.server.operation import Operation
from watchword.server.problems import ErrorFormat, answer_to, respond
from watchword.server.request_counts import RequestCounts
from watchword.server.request_ids import HEADER, REQUEST_ID
from watchword.server.responses import Header
from watchword.server.returning import is_below

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
# The prefix of an IPv4 client's address on a socket that accepts IPv6 and IPv4.
_MAPPED: Final = "::ffff:"
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"


class Edge:
    """Calls the hot endpoints; passes other requests on; completes every answer.

    The hot endpoints bypass Starlette: its routing and layers were measured to cost a
    refresh 5 %. `log` is None inside an application that has a log of its own.
    """

    def __init__(
        self,
        application: ASGIApp,
        operations: Collection[Operation],
        *,
        log: AccessLog | None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        self._application = application
        self._counted = RequestCounts(metrics, operations)
        self._hot = {
            (one.method, one.path): (one, self._counted.of(one.path, one.method))
            for one in operations
            if one.is_hot
        }
        self._error_formats = {
            path: one.error_format for one in operations for path in one.paths
        }
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # The lifespan: returns when the process is about to end.
            await self._application(scope, receive, send)
            if self._log is not None:
                self._log.flush()
            return
        begun = time.perf_counter()
        scope = _unescaped(scope)
        if self._log is not None:
            self._log.ids.name(scope)
        client = scope["client"]
        if client is not None and client[0].startswith(_MAPPED):
            scope["client"] = (plain_address(client[0]), client[1])
        hot = self._hot.get((scope["method"], scope["path"]))
        if hot is None or "refused" in scope:
            await self._pass_on(scope, receive, send, begun)
            return
        operation, count = hot
        status, seconds = 0, 0.0
        try:
            try:
                response = await operation.handler(Request(scope, receive))
            except Exception as error:  # noqa: BLE001 - answer_to() maps it, or logs it
                scope["error_format"] = operation.error_format
                response = answer_to(error, scope)
            status = response.status_code
            headers = _complete(response.raw_headers, scope)
            headers.append(_NO_PAGE)
            # Before it is sent: what a client was answered is counted, though this
            # process be killed.
            seconds = time.perf_counter() - begun
            count(status, seconds)
            await send({"type": _START, "status": status, "headers": headers})
            await send({"type": _BODY, "body": response.body})
        finally:
            if not status:
                self._write(scope, status, begun)
            elif self._log is not None:
                self._log.write(scope, status, seconds)

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, begun: float
    ) -> None:
        """Let the application answer, or refuse a request that a layer has marked."""
        status = 0

        async def send_complete(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == _START:
                status = message["status"]
                headers = _complete(message["headers"], scope)
                if all(name != _NO_PAGE[0] for name, _ in headers):
                    headers.append(_NO_PAGE)
                message["headers"] = headers
                self._counted.answered(scope, status, begun)
            await send(message)

        # What is not there below the console was typed into a browser, or followed.
        other = ErrorFormat.PAGE if is_below(scope["path"]) else ErrorFormat.PROBLEM
        scope["error_format"] = self._error_formats.get(scope["path"], other)
        application = self._application
        if "refused" in scope:
            application = respond(scope["refused"], scope)
        try:
            await application(scope, receive, send_complete)
        finally:
            self._write(scope, status, begun)

    def _write(self, scope: Scope, status: int, begun: float) -> None:
        if not status:  # the client had gone, or the process ends
            self._counted.answered(scope, status, begun)
        if self._log is not None:
            self._log.write(scope, status, time.perf_counter() - begun)


def _unescaped(scope: Scope) -> Scope:
    """The scope with the path as it was sent: only that spelling is matched.

    None of our paths needs an escape. If a path with `%2f` or `%61` were decoded, it
    could pass the rules of a proxy as one path and be answered here as another.
    """
    raw = scope.get("raw_path")
    if raw is None or b"%" not in raw:
        return scope
    return {**scope, "path": raw.decode("latin-1")}


def _complete(headers: list[Header], scope: Scope) -> list[Header]:
    """The headers with those of every answer, but for the policy of pages."""
    complete = [*headers, *_ALWAYS]
    if scope["scheme"] == "https":
        complete.append(_HSTS)
    if REQUEST_ID in scope:
        complete.append((HEADER, scope[REQUEST_ID].encode()))
    # A client that sent a proof gets the nonce for its next one (RFC 9449 §8.2).
    if "nonces" in scope:
        complete.append((b"dpop-nonce", scope["nonces"].current().encode()))
    return complete
