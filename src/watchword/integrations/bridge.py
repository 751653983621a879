"""Passes one request of WSGI or Django to an ASGI application; returns its answer.

It is for the auth endpoints only: their bodies are small, and no answer is a stream.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from watchword.errors import InvalidRequest, WatchwordError
from watchword.integrations.environ import headers_of, place_of
from watchword.server.cookies import COOKIE
from watchword.server.parsing import BODY_MAX
from watchword.server.problems import LengthRequired, PayloadTooLarge
from watchword.tokens.headers import Headers

Application = Callable[[Any, Any, Any], Awaitable[None]]
_STREAM: Final = b"text/event-stream"
_DIGITS_MAX: Final = 18
# In HTTP/1 a request without a length has no body (RFC 9112 §6.3). In later versions it
# may have one: there only requests with these methods are taken to have none.
_WITHOUT_BODY: Final = ("GET", "HEAD", "OPTIONS", "DELETE")
# None of our tokens has a comma in it: a comma in the value of our cookie means that a
# WSGI server has joined another field to it.
_OURS: Final = COOKIE.encode() + b"="
_BEHIND: Final = re.compile(rb",\s*" + _OURS)
_BEFORE: Final = re.compile(rb"(?:^|(?<=;)|(?<=; ))" + _OURS + rb"[^;,]*(?=,)")


class Stream(Protocol):
    """The stream that a body is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; no bytes at the end."""


class WsgiRequest(NamedTuple):
    """A request as a framework has it.

    `path` is the path below the place where the application is mounted. `fields` are
    the header fields as they came, or None if only `environ` has them (WSGI).
    `is_terminated`: whether the stream ends where the body ends
    (`wsgi.input_terminated`; always with ASGI). `stream` is called when the body is to
    be read.
    """

    environ: Mapping[str, Any]
    stream: Callable[[], Stream]
    scheme: str
    path: str
    is_terminated: bool
    fields: Headers | None = None


class AsgiRequest(NamedTuple):
    """A request as ASGI has it: the scope, and the whole body."""

    scope: dict[str, Any]
    body: bytes


class Answer(NamedTuple):
    """Status, headers and body; and whether the connection has to be closed.

    A WSGI application must not ask for that (PEP 3333). With WSGI it is the server that
    deals with the rest of a body.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_last: bool


def asgi_request(request: WsgiRequest) -> AsgiRequest:
    """The request for the application, with its body.

    If the body cannot be read, the request is marked, and the application refuses it. A
    body that is too large by its declared length is left unread, and refused for it.
    Of a body without a length at most BODY_MAX bytes and one more are read.
    """
    scope = _scope(request)
    try:
        if request.fields is None:
            scope["headers"] = _apart(scope["headers"])
        return AsgiRequest(scope, _body(request))
    except WatchwordError as error:
        return AsgiRequest(scope | {"refused": error}, b"")


def _body(request: WsgiRequest) -> bytes:
    """The body. Raises InvalidRequest, LengthRequired, PayloadTooLarge.

    A body without a length must not be taken for an empty one: a logout without a body
    ends another session than a logout with one.
    """
    environ = request.environ
    declared = str(environ.get("CONTENT_LENGTH") or "")
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None and coding.strip().lower() != "chunked":
        raise InvalidRequest("The only Transfer-Encoding is chunked.")
    # With a transfer coding the length is ignored (RFC 9112 §6.3).
    if declared and coding is None:
        return _declared(request, declared)
    if request.is_terminated:
        body = _read(request, BODY_MAX + 1)
        if coding is not None and not body and "HTTP_UPGRADE" in environ:
            raise InvalidRequest("The body did not come: send no Upgrade with it.")
        return body
    if coding is not None or not _is_without_body(environ):
        raise LengthRequired
    return b""


def _declared(request: WsgiRequest, length: str) -> bytes:
    if not (length.isascii() and length.isdigit()):
        raise InvalidRequest("The header Content-Length is malformed.")
    if len(length) > _DIGITS_MAX or int(length) > BODY_MAX:
        return b""
    body = _read(request, int(length))
    # The client went away, or the server dropped the rest because of an Upgrade.
    if len(body) < int(length):
        raise InvalidRequest("The body is shorter than its Content-Length.")
    return body


def _is_without_body(environ: Mapping[str, Any]) -> bool:
    old = str(environ.get("SERVER_PROTOCOL", "HTTP/1.1")).startswith("HTTP/1")
    return old or environ["REQUEST_METHOD"] in _WITHOUT_BODY


def _read(request: WsgiRequest, size: int) -> bytes:
    """Up to `size` bytes. Raises InvalidRequest, PayloadTooLarge.

    Each server and framework has errors of its own for malformed chunks and for a
    client that goes away. Uncaught, they would be a 500 with a traceback in its log. An
    error with the code 413 means a limit that the app has set.
    """
    body = b""
    try:
        stream = request.stream()
        while len(body) < size and (part := stream.read(size - len(body))):
            body += part
    except Exception as error:
        if getattr(error, "code", None) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise PayloadTooLarge from error
        raise InvalidRequest("The body cannot be read as it was sent.") from error
    return body


def _apart(headers: Headers) -> Headers:
    """The headers, with fields taken apart that a WSGI server has joined by a comma.

    A retry key that came twice is two keys, and not a third one. Fields of cookies have
    to be joined by a semicolon (RFC 9113 §8.2.3), so one is put behind our cookie.
    Where our cookie is behind another one, it cannot be told from a value that another
    site has set. If that were taken as it stands, our cookie would be missing, and the
    browser would be signed out. So that raises InvalidRequest.
    """
    apart = []
    for name, value in headers:
        if name == b"cookie" and _BEHIND.search(value):
            raise InvalidRequest("The header Cookie came several times.")
        if name == b"cookie":
            apart.append((name, _BEFORE.sub(rb"\g<0>;", value)))
        elif name == b"idempotency-key":
            apart += [(name, one) for one in value.split(b",")]
        else:
            apart.append((name, value))
    return apart


def _scope(request: WsgiRequest) -> dict[str, Any]:
    environ = request.environ
    headers = headers_of(environ, request.fields or ())
    # A stream of events would hold a thread for as long as it lasts, so it is not
    # offered here: the feed is answered as a long poll.
    headers = [one for one in headers if one[0] != b"accept" or _STREAM not in one[1]]
    return {
        **place_of(environ, request.scheme),
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "path": request.path,
        "root_path": "",
        "query_string": str(environ.get("QUERY_STRING", "")).encode("latin-1"),
        "headers": headers,
        "watchword.blocking": True,
    }


async def answer(application: Application, request: AsgiRequest) -> Answer:
    """The whole answer of the application to that request."""
    status, headers, parts = 500, list[tuple[str, str]](), list[bytes]()
    # The unread rest of a refused body may still come. The connection is closed, so
    # that it is not taken for another request.
    closing = "refused" in request.scope
    unread = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if unread:
            return unread.pop()
        # Never returns: WSGI does not tell when the client has gone.
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, closing
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.extend(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message["headers"]
                if name != b"connection"
            )
            closing = closing or (b"connection", b"close") in message["headers"]
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await application(request.scope, receive, send)
    return Answer(status, headers, b"".join(parts), closing)
