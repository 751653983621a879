"""One request of WSGI, or of Django, for an ASGI application; and its whole answer.

For the auth endpoints alone: their bodies are small, and no answer is a stream.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from watchword.errors import InvalidRequest, WatchwordError
from watchword.integrations.environ import headers_of, place_of
from watchword.server.openapi import COOKIE
from watchword.server.parsing import BODY_MAX
from watchword.server.problems import LengthRequired, PayloadTooLarge
from watchword.verify.presented import Headers

Application = Callable[[Any, Any, Any], Awaitable[None]]
_STREAM: Final = b"text/event-stream"
_DIGITS_MAX: Final = 18
# Of a request without a length these alone are taken to bring nothing, where the
# protocol does not say so by itself (HTTP/1.1 does, RFC 9112 §6.3).
_WITHOUT_BODY: Final = ("GET", "HEAD", "OPTIONS", "DELETE")
# A comma is part of no token of ours: there another field was joined (WSGI).
_OURS: Final = COOKIE.encode() + b"="
_BEHIND: Final = re.compile(rb",\s*" + _OURS)
_BEFORE: Final = re.compile(rb"(?:^|(?<=;)|(?<=; ))" + _OURS + rb"[^;,]*(?=,)")


class Stream(Protocol):
    """What a body is read from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


class Request(NamedTuple):
    """A request as a framework has it.

    `path` is below where the application is mounted. `fields` are the header fields as
    they came, None where only `environ` has them (WSGI). `is_terminated`: the stream
    ends where the body does (`wsgi.input_terminated`; always with ASGI). `stream` is
    called once the body is to be read.
    """

    environ: Mapping[str, Any]
    stream: Callable[[], Stream]
    scheme: str
    path: str
    is_terminated: bool
    fields: Headers | None = None


class Asked(NamedTuple):
    """A request: its scope and its body."""

    scope: dict[str, Any]
    body: bytes


class Answer(NamedTuple):
    """Status, headers and body; and whether the connection has to end.

    An application of WSGI must not say the latter (PEP 3333), and there the server is
    the one that reads the body.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    is_last: bool


def asked(request: Request) -> Asked:
    """The request; one whose body cannot be had is refused by the application.

    A body that was announced larger than any that is meant is left unread: by its
    length it is refused. Of one without a length BODY_MAX and a byte are read.
    """
    scope = _scope(request)
    try:
        if request.fields is None:
            scope["headers"] = _apart(scope["headers"])
        return Asked(scope, _body(request))
    except WatchwordError as error:
        return Asked(scope | {"refused": error}, b"")


def _body(request: Request) -> bytes:
    """The body. Raises InvalidRequest, LengthRequired.

    What has no length is not nothing: a logout without a body ends another session
    than one with.
    """
    environ = request.environ
    declared = str(environ.get("CONTENT_LENGTH") or "")
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None and coding.strip().lower() != "chunked":
        raise InvalidRequest("The only Transfer-Encoding is chunked.")
    if declared and coding is None:  # which goes first (RFC 9112 §6.3)
        return _declared(request, declared)
    if request.is_terminated:
        body = _read(request, BODY_MAX + 1)
        if coding is not None and not body and "HTTP_UPGRADE" in environ:
            raise InvalidRequest("The body did not come: send no Upgrade with it.")
        return body
    if coding is not None or not _is_without_body(environ):
        raise LengthRequired
    return b""


def _declared(request: Request, length: str) -> bytes:
    if not (length.isascii() and length.isdigit()):
        raise InvalidRequest("The header Content-Length is malformed.")
    if len(length) > _DIGITS_MAX or int(length) > BODY_MAX:
        return b""
    body = _read(request, int(length))
    # Its sender went away, or the server has let go of the rest (an Upgrade).
    if len(body) < int(length):
        raise InvalidRequest("The body is shorter than its Content-Length.")
    return body


def _is_without_body(environ: Mapping[str, Any]) -> bool:
    old = str(environ.get("SERVER_PROTOCOL", "HTTP/1.1")).startswith("HTTP/1")
    return old or environ["REQUEST_METHOD"] in _WITHOUT_BODY


def _read(request: Request, size: int) -> bytes:
    """Up to `size` bytes. Raises InvalidRequest, PayloadTooLarge.

    Each server and framework has errors of its own for chunks that are none and for a
    sender that goes away, and would answer 500 with a traceback in its log. One that
    says 413 is a limit that the app has set.
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
    """What a WSGI server joined by a comma, as far as it concerns us, taken apart.

    A retry key that came twice is two keys, not a third one. Cookies belong together by
    a semicolon (RFC 9113 §8.2.3): behind ours one is put there. Ours behind another one
    cannot be told from a value that another site has set: taken as it stands it would
    not be there, and its browser be signed out. Raises InvalidRequest for that.
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


def _scope(request: Request) -> dict[str, Any]:
    environ = request.environ
    headers = headers_of(environ, request.fields or ())
    # A stream would hold a thread for as long as it lasts: a long poll has to do.
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


async def answer(application: Application, request: Asked) -> Answer:
    """What the application answers."""
    status, headers, parts = 500, list[tuple[str, str]](), list[bytes]()
    # What was not read of a body may still come: it is no request of its own.
    closing = "refused" in request.scope
    unread = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if unread:
            return unread.pop()
        return await asyncio.Future()  # nobody tells that the client has gone

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
