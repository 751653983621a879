"""Clients that offer h2c by themselves, as their users run them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.server.live import PASSWORD, Live
from tests.tools import tool

# What each call answers to a body that only a sign-in understands, if it was read.
CALLS: Final = {
    "/api/auth/login": 200,
    "/api/auth/refresh": 400,
    "/api/auth/logout": 400,
    "/api/auth/logout-all": 401,
    "/oauth/token": 400,
    "/oauth/revoke": 400,
    "/oauth/introspect": 400,
}
BODY: Final = json.dumps({"username": "admin", "password": PASSWORD})
JAVA: Final = """
import java.net.URI;
import java.net.http.*;

class Post {
    public static void main(String[] given) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int i = 2; i < given.length; i++) {
            URI address = URI.create(given[0] + given[i]);
            HttpRequest request = HttpRequest.newBuilder(address)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(given[1])).build();
            System.out.println(client.send(request,
                HttpResponse.BodyHandlers.ofString()).statusCode());
        }
    }
}
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("offers") / "data", seconds=300) as server:
        yield server


@pytest.mark.needs("java")
def test_java(live: Live, tmp_path: Path) -> None:
    (tmp_path / "Post.java").write_text(JAVA)
    command = [tool("java"), str(tmp_path / "Post.java"), live.url, BODY, *CALLS]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert list(map(int, done.stdout.split())) == list(CALLS.values())


@pytest.mark.needs("curl")
def test_curl(live: Live) -> None:
    command = [tool("curl"), "--http2", "--silent", "--write-out", "%{http_code}\n"]
    command += ["--header", "Content-Type: application/json", "--data", BODY]
    for path in CALLS:
        command += ["--output", "/dev/null", live.url + path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert list(map(int, done.stdout.split())) == list(CALLS.values())
