"""The wire table through real proxies that share one connection to the server.

Whatever a proxy makes of a row, no request may reach the server that the proxy has not
seen, and on the connection that is used again every answer belongs to its request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.server.live import PASSWORD, Answer, Live
from tests.server.proxies import Proxy
from tests.server.wire_table import NEXT, ROWS, Row
from tests.server.wires import exchange

SECONDS = 300
H2C: Final = (
    b"Content-Type: application/json\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
)
# What other callers ask meanwhile: no two have the same answer.
ASKED: Final = {
    "/healthz": (200, b'{"status":"ok"}'),
    "/.well-known/jwks.json": (200, b'"keys"'),
    "/api/auth/secure": (401, b"token_missing"),
    "/nowhere": (404, b"not_found"),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("proxied") / "data"
    with Live(
        folder,
        seconds=SECONDS,
        WATCHWORD_BEHIND_PROXY="127.0.0.1",
        WATCHWORD_ISSUER="https://login.example.org",
    ) as server:
        yield server
        assert server.process.poll() is None


@pytest.fixture(
    scope="module",
    params=[
        "caddy",
        "caddy passing Upgrade",
        "nginx",
        "nginx passing Upgrade",
        pytest.param("haproxy", marks=pytest.mark.needs("haproxy")),
        pytest.param("haproxy passing Upgrade", marks=pytest.mark.needs("haproxy")),
    ],
)
def proxy(
    request: pytest.FixtureRequest,
    live: Live,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    kind, _, passing = request.param.partition(" ")
    folder = tmp_path_factory.mktemp("proxy") / kind
    with Proxy(kind, folder, live.port, strict=not passing) as started:
        yield started


async def test_no_row_reaches_the_server_as_two(live: Live, proxy: Proxy) -> None:
    over = asyncio.Event()

    async def attack() -> None:
        several = asyncio.Semaphore(4)

        async def send(row: Row) -> None:
            async with several:
                await exchange(proxy.port, [row.head, row.body, NEXT])

        await asyncio.gather(*map(send, ROWS))
        over.set()

    async def others() -> None:
        while not over.is_set():
            for path, (status, body) in ASKED.items():
                request = NEXT.replace(b"/next", path.encode())
                answer = Answer(await exchange(proxy.port, [request]))
                assert answer.status == status, (path, answer.raw)
                assert body in answer.raw, (path, answer.raw)

    await asyncio.gather(attack(), others())
    printed = live.printed()
    assert "GET /next 404" in printed
    # What the proxy has not seen has no X-Forwarded-Proto from it.
    assert "https_required" not in printed


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_sign_in_that_offers_another_protocol_is_a_sign_in(
    proxy: Proxy, framing: str
) -> None:
    """Java's HttpClient does so with every POST, and its head comes by itself."""
    body = json.dumps({"username": "admin", "password": PASSWORD}).encode()
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\n" + H2C
    if framing == "chunks":
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        head += b"Transfer-Encoding: chunked\r\n\r\n"
    else:
        head += b"Content-Length: %d\r\n\r\n" % len(body)
    answer = Answer(await exchange(proxy.port, [head, body, NEXT]))
    assert answer.status == 200, answer.raw
    assert b'"refreshToken"' in answer.raw
    assert answer.raw.count(b"HTTP/1.1 404 ") == 1  # the next one, and no other
