"""A server of the Model Context Protocol, and the client of its own SDK.

The client knows the address of the MCP server and the id of a client that was made for
it. It finds the issuer, and its user signs in there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.cli.terminal import Terminal
from tests.integrations.fakes import ISSUER
from tests.integrations.stories import bearer
from tests.pages import ROOT, blocks_of, clean_environment
from tests.patience import until
from tests.server.live import Live
from tests.servers.process import end, free_port, wait_for
from tests.verify.minting import Bench

PAGE: Final = ROOT / "docs/mcp.md"
EXAMPLE: Final = ROOT / "examples/mcp_server.py"
PRINTED: Final = "127.0.0.1:9000"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("mcp") / "data") as server:
        yield server


@pytest.fixture
def url(live: Live, folder: Path) -> Iterator[str]:
    """The server of the page under uvicorn, made known as the page says."""
    port = free_port()
    made = [
        line.split()[1:]
        for block in blocks_of(PAGE)
        for line in block.text.replace(PRINTED, f"127.0.0.1:{port}").splitlines()
        if line.startswith("watchword clients add")
    ]
    feed, client = (Terminal(live.data).json(*words) for words in made)
    assert client["clientId"] == "notebook"
    program = folder / "mcp_server.py"
    text = EXAMPLE.read_text().replace(PRINTED, f"127.0.0.1:{port}")
    program.write_text(text.replace(ISSUER, live.url))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "mcp_server:app", "--port", str(port)],
            cwd=folder,
            env=clean_environment(FEED_SECRET=feed["clientSecret"]),
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        end(server)


async def test_a_user_signs_in_calls_a_tool_and_logs_out_everywhere(
    live: Live, url: str
) -> None:
    from tests.integrations import mcp_client  # noqa: PLC0415 - see there

    orders = mcp_client.orders
    held, person = mcp_client.Held("notebook"), mcp_client.Person(live.url)
    auth = person.client_of(url, held)
    (said,) = await orders(url, auth)
    assert said.text.startswith("The orders of 0")
    assert person.browser.shown == ["/sign-in", "/consent"]
    (asked,) = person.asked
    assert asked["resource"] == [url]
    assert asked["scope"] == ["orders offline_access"]
    tokens = held.tokens
    assert tokens is not None
    assert tokens.scope == "orders offline_access"
    assert tokens.refresh_token is not None
    auth.context.token_expiry_time = 1  # it refreshes, and nobody is asked again
    await orders(url, auth)
    assert len(person.asked) == 1
    spent, tokens = tokens, held.tokens
    assert tokens is not None
    assert tokens.refresh_token not in (None, spent.refresh_token)

    access = bearer(tokens.access_token)
    with httpx2.Client() as http:
        # A token for another API is none for this one.
        login = live.login()["accessToken"]
        assert http.post(url, headers=bearer(login)).status_code == 401
        assert http.post(url, headers=access).status_code != 401
        assert live.call("POST", "/api/auth/logout-all", access=login).status == 200
        until(lambda: http.post(url, headers=access).status_code == 401)
        challenge = http.post(url, headers=access).headers["www-authenticate"]
    assert "resource_metadata=" in challenge
    await orders(url, auth)  # its user has to sign in again
    assert len(person.asked) == 2
    assert person.browser.shown[0] == "/sign-in"


def test_where_it_is_not_known_whether_a_session_has_ended_the_answer_is_503() -> None:
    from tests.integrations import mcp_client  # noqa: PLC0415 - see there

    app = mcp_client.app_of("http://127.0.0.1:1", "http://127.0.0.1:9000/mcp")
    with TestClient(app, base_url="http://127.0.0.1:9000") as http:
        answer = http.post("/mcp", headers=bearer(Bench("ES256").mint.token()))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
