"""CORS (Fetch §3.3): which pages of other origins may call, and read the answers.

CorsHeaders    around the Edge: names an allowed origin on its answers, errors as well
CorsPreflight  inside of the Edge: answers what browsers ask before they send

There are two layers, because the Edge answers the hot routes itself, and because the
answer to a preflight needs the Edge's security headers like any other. An origin that
is not on the list is answered as if there were no CORS: no header names it, and no
wildcard is combined with credentials. So is a listed origin that asks for a page: with
the cookies of the user it could read the address and the sessions of an account. Where
a page redirects, it could follow to a client and read the code (RFC 9700 §2.6).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from watchword.server.cookies import CSRF_HEADER
from watchword.server.pages.rendering import HTML

_METHODS: Final = ("GET", "POST", "PATCH", "DELETE")
_SENT: Final = (
    *("Authorization", "Content-Type", "DPoP", "Idempotency-Key", "If-Match"),
    CSRF_HEADER,
    # Headers that tracing in a page adds to every call. A preflight that refuses one of
    # them refuses the call. W3C Trace Context and Baggage, Sentry; Zipkin (B3);
    # Datadog; New Relic; Elastic; Azure's Application Insights; ids that apps draw
    # themselves.
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
    *("b3", "X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled"),
    *("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-origin"),
    *("x-datadog-sampling-priority", "newrelic", "elastic-apm-traceparent"),
    *("Request-Id", "Request-Context", "X-Request-ID", "X-Correlation-ID"),
)
_EXPOSED: Final = (
    *("DPoP-Nonce", "ETag", "Retry-After", "WWW-Authenticate", "X-Request-Id"),
)
_KEPT_SECONDS: Final = 600

_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_PAGE: Final = (b"content-type", HTML.encode())
_GRANTED: Final = (
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", ", ".join(_EXPOSED).encode()),
)
_ALLOWED: Final = {
    "access-control-allow-methods": ", ".join(_METHODS),
    "access-control-allow-headers": ", ".join(_SENT),
    "access-control-max-age": str(_KEPT_SECONDS),
}
# Also for a request without an origin: a cache must not give that answer to a page.
_VARY: Final = (b"vary", b"Origin")


class CorsHeaders:
    """Lets the pages of these origins read every answer but our own pages."""

    def __init__(self, application: ASGIApp, origins: Collection[str]) -> None:
        self._application = application
        self._origins = frozenset(map(str.encode, origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        origin = _allowed_origin(scope, self._origins)

        async def send_readable(message: Any) -> None:  # noqa: ANN401 - any of ASGI's
            if message["type"] == "http.response.start":
                headers = [*message["headers"], _VARY]
                if origin is not None and not _is_of_page(headers):
                    # It replaces the `*` of answers that pages of any origin may read.
                    headers = [pair for pair in headers if pair[0] != _ALLOW_ORIGIN]
                    headers += [(_ALLOW_ORIGIN, origin), *_GRANTED]
                message = {**message, "headers": headers}
            await send(message)

        await self._application(scope, receive, send_readable)


class CorsPreflight:
    """Answers the preflights of these origins, in the same way for every path."""

    def __init__(self, application: ASGIApp, origins: Collection[str]) -> None:
        self._application = application
        self._origins = frozenset(map(str.encode, origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._application
        if (
            scope["type"] == "http"
            and scope["method"] == "OPTIONS"
            and any(name == b"access-control-request-method" for name, _ in _of(scope))
            and _allowed_origin(scope, self._origins) is not None
        ):
            application = Response(status_code=204, headers=_ALLOWED)
        await application(scope, receive, send)


def _is_of_page(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether it is a page, or leads to one: no call of the API redirects."""
    return _PAGE in headers or any(name == b"location" for name, _ in headers)


def _allowed_origin(scope: Scope, origins: Collection[bytes]) -> bytes | None:
    """The request's origin, if it came once and is on the list, byte for byte."""
    found = [value for name, value in _of(scope) if name == b"origin"]
    return found[0] if len(found) == 1 and found[0] in origins else None


def _of(scope: Scope) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return headers
