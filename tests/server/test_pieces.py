"""Files of the package: how they are sent."""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib import resources
from typing import Any

from starlette.requests import Request

from watchword.server.endpoints.operation.docs import FILES
from watchword.server.static_files import static_file

STATIC = resources.files("watchword.server") / "static"


async def test_a_large_file_is_sent_in_pieces() -> None:
    """Each waits until the client has read: TLS would copy the whole file for it."""
    sent: list[Any] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "headers": []}
    path, media_type = FILES["swagger-ui-bundle.js"]
    await static_file(Request(scope), path, media_type)(scope, receive, send)
    start, *pieces = sent
    assert start["status"] == 200
    assert max(len(one["body"]) for one in pieces) == 64 * 1024
    assert [one["more_body"] for one in pieces] == [True] * (len(pieces) - 1) + [False]
    assert b"".join(one["body"] for one in pieces) == (STATIC / path).read_bytes()
