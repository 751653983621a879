"""docs/forward-auth.md: proxies in front of a plain program, as the page prints them.

The program answers with the headers that it got, as CGI and WSGI name them: under that
name it can get what the client sent in four spellings.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from tests.pages import ROOT
from tests.patience import PATIENCE
from tests.rows import named
from tests.server.live import PASSWORD, Live
from tests.server.proxies import Running, caddy, haproxy, nginx, replaced, shown
from tests.servers.process import free_port
from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.passwords import INSECURE_FOR_TESTS

PAGE: Final = ROOT / "docs/forward-auth.md"
NAMES: Final = ("Subject", "Roles", "Session", "Scope")
OURS: Final = {f"HTTP_X_AUTH_{name.upper()}" for name in NAMES}
SPELLINGS: Final = ("X-Auth-{}", "X_Auth_{}", "X-Auth_{}", "X_Auth-{}")
FORGED: Final = [
    (written.format(name), "admin")
    for name in NAMES
    for spelling in SPELLINGS
    for written in (spelling, spelling.lower(), spelling.upper(), spelling)
]
BODY: Final = b"b" * 200_000


class Shows(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        got: dict[str, Any] = {"path": self.path, "body": len(self.rfile.read(length))}
        for name, value in self.headers.items():
            variable = "HTTP_" + name.upper().replace("-", "_")
            got.setdefault(variable, []).append(value)
        body = json.dumps(got).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - as the library calls it

    def log_request(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture(scope="module")
def program() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shows) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("forward") / "data"

    async def people() -> None:
        settings = Settings(data=data)
        async with open_watchword(settings, hashing=INSECURE_FOR_TESTS) as engine:
            await engine.accounts.register("ann", PASSWORD, roles=["staff", "editor"])
            await engine.accounts.register("eve", PASSWORD)

    asyncio.run(people())
    with Live(
        data,
        WATCHWORD_BEHIND_PROXY="127.0.0.1",
        WATCHWORD_ISSUER="https://login.example.org",
    ) as server:
        yield server


def behind_caddy(folder: Path, port: int, places: dict[str, str]) -> list[str]:
    (text,) = shown(PAGE, "caddyfile")
    places = {
        "app.example.org {": f"http://:{port} {{\n\tbind 127.0.0.1",
        # For this proxy there is no HTTPS in front.
        "header_up -Upgrade": "header_up X-Forwarded-Proto https",
        **places,
    }
    return caddy(folder, replaced(text, places))


def behind_nginx(folder: Path, port: int, places: dict[str, str]) -> list[str]:
    text, ask = shown(PAGE, "nginx")
    (folder / "watchword_ask.conf").write_text(ask)
    places = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};",
        "    ssl_certificate /etc/ssl/app.example.org.pem;\n": "",
        "    ssl_certificate_key /etc/ssl/app.example.org.key;\n": "",
        **places,
    }
    return nginx(folder, replaced(text, places))


def behind_haproxy(folder: Path, port: int, places: dict[str, str]) -> list[str]:
    (text,), (lua,) = shown(PAGE, "haproxy"), shown(PAGE, "lua")
    (ask, at), *program = places.items()
    (folder / "watchword.lua").write_text(replaced(lua, {ask: at}))
    places = {
        "bind :443 ssl crt /etc/ssl/app.example.org.both.pem alpn h2,http/1.1": (
            f"bind 127.0.0.1:{port}"
        ),
        "/etc/haproxy/watchword.lua": str(folder / "watchword.lua"),
        **dict(program),
    }
    return haproxy(folder, replaced(text, places))


_BEHIND: Final[dict[str, Callable[..., list[str]]]] = {
    "nginx": behind_nginx,
    "caddy": behind_caddy,
    "haproxy": behind_haproxy,
}


@pytest.fixture(
    params=[
        *("nginx", "caddy"),
        pytest.param("haproxy", marks=pytest.mark.needs("haproxy")),
    ],
)
def proxy(
    request: pytest.FixtureRequest, live: Live, program: int, tmp_path: Path
) -> Iterator[Running]:
    port = free_port()
    places = {
        "10.0.0.11:8000": f"127.0.0.1:{live.port}",
        "127.0.0.1:8080": f"127.0.0.1:{program}",
    }
    command = _BEHIND[request.param](tmp_path, port, places)
    with Running(command, tmp_path, port) as running:
        yield running


def login(live: Live, name: str) -> Any:
    body = {"username": name, "password": PASSWORD}
    answer = live.call("POST", "/api/auth/login", body, X_Forwarded_Proto="https")
    assert answer.status == 200, answer.raw
    return answer.json()


def ask(
    proxy: Running,
    path: str,
    *tokens: str,
    forged: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
) -> tuple[int, Any]:
    """The status; and what the program saw, or the challenge. All as it is written."""
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.putrequest("POST" if body else "GET", path)
        for name, value in [*_bearer(tokens), *forged]:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        if answer.status == 200:
            return 200, json.loads(answer.read())
        return answer.status, answer.headers.get("WWW-Authenticate", "")


def _bearer(tokens: Iterable[str]) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {one}") for one in tokens]


def test_the_program_sees_what_watchword_said_and_nothing_that_was_forged(
    live: Live, proxy: Running
) -> None:
    people = {name: login(live, name) for name in ("ann", "eve")}
    ann, eve = (people[name]["accessToken"] for name in people)
    rows: list[tuple[str, str | None, set[int], list[str] | None]] = [
        ("/orders?page=2", "ann", {200}, ["staff editor"]),
        ("/staff/rota?role=x", "ann", {200}, ["staff editor"]),
        ("/orders?page=2", "eve", {200}, []),
        ("/staff/rota", "eve", {403}, None),
        ("/%73taff/rota", "eve", {403}, None),
        ("//staff/rota", "eve", {400, 403}, None),
        ("/orders/../staff/rota", "eve", {400, 403}, None),
        ("/orders", None, {401}, None),
        ("/staff/rota", None, {401}, None),
    ]
    for path, name, expected, roles in rows:
        tokens = people.get(name or "")
        for forged in ([], FORGED):
            with named((path, name, bool(forged))):
                given = [] if tokens is None else [tokens["accessToken"]]
                status, said = ask(proxy, path, *given, forged=forged)
                assert status in expected, said
                if status == 401:
                    assert said.startswith('Bearer realm="watchword"')
                if tokens is None or status != 200:
                    continue
                assert said["path"] == path
                assert "HTTP_AUTHORIZATION" not in said
                # Absent or empty, as the proxy likes: there is nothing to say.
                seen = {one: list(filter(None, said.get(one, []))) for one in OURS}
                assert len(seen.pop("HTTP_X_AUTH_SUBJECT")[0]) == 36
                assert seen == {
                    "HTTP_X_AUTH_ROLES": roles,
                    "HTTP_X_AUTH_SESSION": [tokens["sessionId"]],
                    "HTTP_X_AUTH_SCOPE": [],
                }
    assert ask(proxy, "/orders", ann, body=BODY)[1]["body"] == len(BODY)
    # What a client lists as hop-by-hop, some proxies drop after they have asked.
    kept = {"HTTP_X_AUTH_ROLES", "HTTP_X_AUTH_SUBJECT"}
    for listed in ("X-Auth-Roles", "close, x-auth-subject"):
        status, said = ask(proxy, "/orders", ann, forged=[("Connection", listed)])
        assert status == 400 or kept <= said.keys(), listed
    assert ask(proxy, "/orders", "x")[0] == 401
    assert ask(proxy, "/orders", ann, eve)[0] in {400, 401}
    over = {"refreshToken": people["ann"]["refreshToken"]}
    live.call("POST", "/api/auth/logout", over, X_Forwarded_Proto="https")
    assert ask(proxy, "/orders", ann)[0] == 401
    assert ask(proxy, "/orders", eve)[0] == 200
