"""One request of WSGI, or of Django, for an ASGI application; and its whole answer.

For the auth endpoints alone: their bodies are small, and no answer is a stream.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from watchword.integrations.environ import headers_of
from watchword.server.parsing import BODY_MAX

Application = Callable[[Any, Any, Any], Awaitable[None]]
_STREAM: Final = b"text/event-stream"


class Asked(NamedTuple):
    """A request: its scope and its body."""

    scope: dict[str, Any]
    body: bytes


class Answer(NamedTuple):
    """Status, headers and body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def asked(
    environ: Mapping[str, Any], read: Callable[[int], bytes], *, scheme: str, path: str
) -> Asked:
    """The request; `path` is below where the application is mounted.

    A body larger than any that is meant is left unread: by its length it is refused.
    """
    declared = str(environ.get("CONTENT_LENGTH") or "0")
    small = re.fullmatch("[0-9]{1,9}", declared) and int(declared) <= BODY_MAX
    body = read(int(declared)) if small else b""
    return Asked(_scope(environ, scheme, path), body)


def _scope(environ: Mapping[str, Any], scheme: str, path: str) -> dict[str, Any]:
    headers = headers_of(environ)
    # A stream would hold a thread for as long as it lasts: a long poll has to do.
    headers = [one for one in headers if one[0] != b"accept" or _STREAM not in one[1]]
    address = environ.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": scheme,
        "path": path,
        "root_path": "",
        "query_string": str(environ.get("QUERY_STRING", "")).encode("latin-1"),
        "headers": headers,
        "client": (address, 0) if address else None,
        "watchword.blocking": True,
    }


async def answer(application: Application, request: Asked) -> Answer:
    """What the application answers."""
    status, headers, parts = 500, list[tuple[str, str]](), list[bytes]()
    unread = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if unread:
            return unread.pop()
        return await asyncio.Future()  # nobody tells that the client has gone

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.extend(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in message["headers"]
            )
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await application(request.scope, receive, send)
    return Answer(status, headers, b"".join(parts))
