"""Bodies and fields as servers hand them over: nothing of a request gets lost.

By the servers that Flask and Django run under; each request goes over a connection.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integrations.serving import Served, serving
from tests.integrations.stories import BASE
from tests.patience import PATIENCE
from watchword.errors import StoreUnavailable
from watchword.verify import SyncVerifier

ASGI: Final = "uvicorn with_django:asgi --port {port} --http "
SERVERS: Final = {
    "flask run": "python -m flask --app with_flask run --port {port}",
    "gunicorn, Flask": "gunicorn with_flask:app --bind 127.0.0.1:{port}",
    "gunicorn, Django": "gunicorn with_django:wsgi --bind 127.0.0.1:{port}",
    "uvicorn, Django": ASGI + "h11",
    "uvicorn with httptools, Django": ASGI + "httptools",
    "FastAPI": "uvicorn with_fastapi:app --port {port} --http h11",
    "Litestar": "uvicorn with_litestar:app --port {port} --http h11",
}


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Served]]:
    """Each server once, whichever of them a test is about."""
    with contextlib.ExitStack() as servers:

        def start(name: str) -> Served:
            folder = tmp_path_factory.mktemp("served")
            return servers.enter_context(serving(SERVERS[name], folder))

        yield functools.cache(start)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, started: Callable[[str], Served]) -> Served:
    return started(request.param)


def tokens(served: Served, **more: Any) -> Any:
    answer = served.login(**more)
    assert answer.code == "ok"
    return answer.json()


def refreshed(served: Served, refresh_token: str) -> str:
    return served.post("/refresh", {"refreshToken": refresh_token}).code


@pytest.mark.parametrize("chunked", [False, True])
def test_a_logout_ends_the_session_that_its_body_names(
    server: Served, *, chunked: bool
) -> None:
    """Not that of the access token beside it, however the body's end is told."""
    named, other = tokens(server, chunked=chunked), tokens(server)
    access = [("Authorization", f"Bearer {other['accessToken']}")]
    body = {"refreshToken": named["refreshToken"]}
    assert server.post("/logout", body, access, chunked=chunked).code == "ok"
    assert refreshed(server, named["refreshToken"]) == "session_revoked"
    assert refreshed(server, other["refreshToken"]) == "ok"


def test_a_form_in_chunks_is_read_too(server: Served) -> None:
    form = b"grant_type=refresh_token&client_id=first-party&refresh_token=x"
    kind = [("Content-Type", "application/x-www-form-urlencoded")]
    answer = server.call("POST", "/oauth/token", kind, form, chunked=True)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_bounded(server: Served, *, chunked: bool) -> None:
    kind = [("Content-Type", "application/json")]
    raw = b'{"username": "' + b"a" * 40_000 + b'"}'
    answer = server.call("POST", f"{BASE}/login", kind, raw, chunked=chunked)
    assert (answer.status, answer.code) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "framing", ["Content-Length: 90", "Transfer-Encoding: chunked"]
)
def test_a_body_that_ends_early_is_none(server: Served, framing: str) -> None:
    """Its sender has gone: what it meant is not known, and nothing is ended."""
    alive = tokens(server)
    head = (
        f"POST {BASE}/logout HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {alive['accessToken']}\r\n"
        f"Content-Type: application/json\r\n{framing}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
    assert refreshed(server, alive["refreshToken"]) == "ok"


@pytest.mark.parametrize("chunks", [b"zz\r\n\r\n", b"-1\r\n\r\n", b'5\r\n"123456"'])
def test_chunks_that_are_none_are_refused(server: Served, chunks: bytes) -> None:
    alive = tokens(server)
    head = (
        f"POST {BASE}/logout HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: Bearer {alive['accessToken']}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.sendall(head.encode() + chunks + b"\r\n0\r\n\r\n")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert refreshed(server, alive["refreshToken"]) == "ok"


def test_cookies_may_come_in_fields_of_their_own(server: Served) -> None:
    """As HTTP/2 sends them; where a server joined them so that none can tell: 400."""
    fetched = ("X-Requested-With", "fetch")

    def refresh(*cookies: str) -> str:
        fields = [fetched, *(("Cookie", cookie) for cookie in cookies)]
        return server.post("/refresh", None, fields).code

    def ours() -> str:
        answer = server.login(transport="cookie")
        return str(answer.headers["set-cookie"]).partition(";")[0]

    joined = not server.command.startswith("uvicorn")  # by WSGI, which has one value
    assert refresh(ours()) == "ok"
    assert refresh(ours(), "theme=dark") == "ok"
    assert refresh("theme=dark; a=b", ours()) == ("invalid_request" if joined else "ok")
    assert refresh(ours(), ours()) == "invalid_request"


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ([("Idempotency-Key", "k" * 16), ("Idempotency-Key", "j" * 16)], {400}),
        ([("Content-Type", "application/json"), ("Content-Type", "a/b")], {400, 415}),
        ([("DPoP", "a.b.c"), ("DPoP", "a.b.c")], {400}),
    ],
)
def test_a_field_that_may_come_once_is_refused_twice(
    server: Served, fields: list[tuple[str, str]], codes: set[int]
) -> None:
    kind = [("Content-Type", "application/json")]
    given = [*fields, *([] if fields[0] in kind else kind)]
    raw = b'{"refreshToken": "ww_rt_x"}'
    assert server.call("POST", f"{BASE}/refresh", given, raw).status in codes


def test_credentials_that_came_twice_are_refused(server: Served) -> None:
    alive = tokens(server)
    twice = [("Authorization", f"Bearer {alive['accessToken']}")] * 2
    answer = server.call("GET", f"{BASE}/me", twice)
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_no_spelling_of_our_paths_is_redirected(server: Served) -> None:
    """Django's APPEND_SLASH is on, and Flask merges slashes: not on these."""
    for path in ("/login/", "//login", "/login//"):
        assert server.post(path, {"username": "a", "password": "b"}).status == 404


def test_the_issuer_is_where_the_server_listens(server: Served) -> None:
    """So a verifier of that address accepts the tokens; another name is told."""
    issuer = f"http://127.0.0.1:{server.port}"
    access = tokens(server)["accessToken"]
    fields = [("Authorization", f"Bearer {access}")]
    assert server.call("GET", f"{BASE}/me", fields).json()["iss"] == issuer
    with SyncVerifier(issuer) as verifier:
        assert verifier.verify(access).sub
    other = f"http://localhost:{server.port}"
    with SyncVerifier(other) as verifier:
        with pytest.raises(StoreUnavailable) as raised:
            verifier.verify(access)
        for told in (issuer, other, "WATCHWORD_ISSUER"):
            assert told in str(raised.value)


# What only some servers do


@pytest.mark.parametrize("name", ["flask run", "uvicorn, Django", "FastAPI"])
def test_no_host_header_names_the_issuer(name: str, tmp_path: Path) -> None:
    with serving(SERVERS[name], tmp_path) as server:
        host = f"Host: 127.0.0.1:{server.port + 1}"
        asked = f"GET /.well-known/oauth-authorization-server HTTP/1.1\r\n{host}\r\n"
        with socket.create_connection(
            ("127.0.0.1", server.port), PATIENCE
        ) as connection:
            connection.sendall(f"{asked}Connection: close\r\n\r\n".encode())
            answer = b"".join(iter(partial(connection.recv, 65536), b""))
        assert f'"issuer":"http://127.0.0.1:{server.port}"'.encode() in answer


@pytest.mark.parametrize("name", ["gunicorn, Django", "uvicorn, Django"])
def test_proxies_may_write_fields_of_their_own(name: str, tmp_path: Path) -> None:
    """The last address that none of ours wrote counts, however they come."""
    given = {
        "WATCHWORD_BEHIND_PROXY": "127.0.0.1,10.0.0.0/8",
        "WATCHWORD_ISSUER": "https://shop.example",
        "WATCHWORD_SECRET": "a-secret-of-these-tests-0123456789-abcdef",
    }
    direct = " --no-proxy-headers" if "uvicorn" in name else ""
    with serving(SERVERS[name] + direct, tmp_path, **given) as server:
        server.through = [
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-For", "198.51.100.1, 203.0.113.7"),
            ("X-Forwarded-For", "10.0.0.9"),
        ]
        access = [("Authorization", f"Bearer {tokens(server)['accessToken']}")]
        (one,) = server.call("GET", f"{BASE}/sessions", access).json()["sessions"]
        assert one["address"] == "203.0.113.7"


def test_a_server_that_cannot_say_where_a_body_ends_has_to_be_told(
    tmp_path: Path,
) -> None:
    """It would be taken for none, and another session ended: 411 instead."""
    with serving("python -m with_flask {port}", tmp_path) as server:
        named, other = tokens(server), tokens(server)
        access = [("Authorization", f"Bearer {other['accessToken']}")]
        body = {"refreshToken": named["refreshToken"]}
        answer = server.post("/logout", body, access, chunked=True)
        assert (answer.status, answer.code) == (411, "length_required")
        for one in (named, other):
            assert refreshed(server, one["refreshToken"]) == "ok"
        assert server.post("/logout", None, access).code == "ok"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "server",
    [
        *("flask run", "gunicorn, Flask", "gunicorn, Django", "uvicorn, Django"),
        *("FastAPI", "Litestar"),
    ],
    indirect=True,
)
def test_a_body_that_the_app_has_read_is_there_all_the_same(
    server: Served, *, chunked: bool
) -> None:
    """By a hook that logs bodies, say: a logout ends what its body names."""
    named, other = tokens(server), tokens(server)
    fields = [("Authorization", f"Bearer {other['accessToken']}"), ("X-Look", "1")]
    body = {"refreshToken": named["refreshToken"]}
    assert server.post("/logout", body, fields, chunked=chunked).code == "ok"
    assert refreshed(server, named["refreshToken"]) == "session_revoked"
    assert refreshed(server, other["refreshToken"]) == "ok"
    raw = b" " * 40_000
    answer = server.call("POST", f"{BASE}/login", fields, raw, chunked=chunked)
    assert answer.status == 413


@pytest.mark.parametrize(
    "framing", ["Content-Length: 43", "Transfer-Encoding: chunked"]
)
@pytest.mark.parametrize(
    ("server", "offer"),
    [
        ("uvicorn, Django", "Upgrade, close"),
        ("uvicorn with httptools, Django", "Upgrade"),
    ],
    indirect=["server"],
)
def test_a_body_behind_an_upgrade_is_no_request(
    server: Served, offer: str, framing: str
) -> None:
    """Read as the body that it is, or refused and the connection over."""
    inner = b"GET /api/auth/me HTTP/1.1\r\nHost: inside\r\n\r\n"
    body = (
        inner if "Length" in framing else b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner)
    )
    assert len(inner) == 43
    head = (
        f"POST {BASE}/login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {offer}\r\n"
        f"Upgrade: h2c\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head.encode())
        answers = b""
        if server.command.endswith("httptools"):  # it answers before the body has come
            answers = connection.recv(65536)
        with contextlib.suppress(OSError):  # closed, perhaps
            connection.sendall(body)
            while more := connection.recv(65536):
                answers += more
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith(b"HTTP/1.1 400 ")
