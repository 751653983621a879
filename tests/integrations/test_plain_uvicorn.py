"""Inside an app under plain uvicorn, with either of its parsers (docs/frameworks.md).

With httptools, uvicorn reads no body where an Upgrade is offered, and takes what comes
of it later for the next request. Watchword cannot mend that for its host; on its own
paths it refuses such a request and ends the connection.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.pages import ROOT, clean_environment
from tests.server.wire_table import NEXT, SMUGGLED
from tests.server.wires import exchange
from tests.servers.process import Process, free_port

LOGIN: Final = "/api/auth/login"
BODY: Final = json.dumps({"username": "ann", "password": "not hers, and long"}).encode()


class Uvicorn:
    """`examples/fastapi_embedded.py`, as its page starts it."""

    def __init__(self, folder: Path, parser: str) -> None:
        self.port = free_port()
        self._log = folder / "uvicorn.log"
        environment = clean_environment(PYTHONPATH=str(ROOT / "examples"))
        front = ["env", "-C", str(folder), "-i"]
        front += [f"{name}={value}" for name, value in environment.items()]
        run = [
            sys.executable,
            "-m",
            "uvicorn",
            "fastapi_embedded:app",
            "--http",
            parser,
        ]
        self.process = Process(
            [*front, *run, "--port", str(self.port)], self._log, self._started
        )

    def _started(self) -> bool:
        return "Uvicorn running on" in self.printed()

    def printed(self) -> str:
        return self._log.read_text(errors="replace")


def _served(parser: str, factory: pytest.TempPathFactory) -> Iterator[Uvicorn]:
    served = Uvicorn(factory.mktemp(parser), parser)
    served.process.start()
    yield served
    served.process.kill()
    assert "/smuggled" not in served.printed()
    assert "Traceback" not in served.printed()


@pytest.fixture(scope="module")
def httptools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uvicorn]:
    yield from _served("httptools", tmp_path_factory)


@pytest.fixture(scope="module")
def h11(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Uvicorn]:
    yield from _served("h11", tmp_path_factory)


def offer(
    protocol: str, framing: str, body: bytes, line: str = f"POST {LOGIN}"
) -> list[bytes]:
    """Head and body, in packets of their own, and another request."""
    chunked = framing == "chunks"
    field = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = (
        f"{line} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n{field}\r\n\r\n"
    )
    return [head.encode(), body, NEXT]


async def statuses(served: Uvicorn, pieces: list[bytes]) -> list[int]:
    received = await exchange(served.port, pieces)
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("protocol", ["h2c", "foo"])
async def test_a_body_that_httptools_does_not_read_ends_the_connection(
    httptools: Uvicorn, protocol: str, framing: str
) -> None:
    assert await statuses(httptools, offer(protocol, framing, SMUGGLED)) == [400]
    # In one packet it would be lost in silence; here the client is told so.
    whole = b"".join(offer(protocol, framing, BODY))
    assert await statuses(httptools, [whole]) == [400]


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_the_authorize_box_of_the_docs_reads_it_or_ends_the_connection(
    httptools: Uvicorn, h11: Uvicorn, framing: str
) -> None:
    """The one path of ours that is none of the server's."""
    pieces = offer("foo", framing, SMUGGLED, line="POST /api/auth/docs-token")
    assert await statuses(httptools, pieces) == [400]
    assert await statuses(h11, pieces) == [403, 404]


async def test_so_does_connect(httptools: Uvicorn) -> None:
    """No proxy passes it on; a client may come straight."""
    pieces = offer("foo", "length", SMUGGLED, line=f"CONNECT {LOGIN}")
    assert len(await statuses(httptools, pieces)) <= 1


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_h11_reads_the_body_and_answers(h11: Uvicorn, framing: str) -> None:
    assert await statuses(h11, offer("h2c", framing, BODY)) == [401, 404]
    assert await statuses(h11, offer("foo", framing, SMUGGLED)) == [400, 404]


async def test_an_offer_without_a_body_changes_nothing(
    httptools: Uvicorn, h11: Uvicorn
) -> None:
    head = b"GET /api/auth/secure HTTP/1.1\r\nHost: h\r\nConnection: close, Upgrade\r\n"
    for served in (httptools, h11):
        assert await statuses(served, [head + b"Upgrade: h2c\r\n\r\n"]) == [401]


async def test_to_h11_a_trailer_is_no_header(h11: Uvicorn) -> None:
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
    trailer = b"0\r\nContent-Type: application/json\r\n\r\n"
    assert await statuses(h11, [head + b"\r\n" + trailer + NEXT]) == [415, 404]


async def test_paths_are_matched_as_they_were_sent(
    httptools: Uvicorn, h11: Uvicorn
) -> None:
    """What the host's router has decoded is none of ours."""
    for served in (httptools, h11):
        for path in (b"/api%2fauth/secure", b"/api/auth/%73ecure", b"/api/auth/secure"):
            sent = NEXT.replace(b"/next", path)
            expected = 401 if b"%" not in path else 404
            assert await statuses(served, [sent]) == [expected], path
