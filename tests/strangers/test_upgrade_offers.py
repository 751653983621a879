"""Clients that offer HTTP/2 with a POST: `Upgrade: h2c` (RFC 9110 §7.8).

Java's HttpClient does so unasked, and with it Spring's RestClient; curl does where it
is told to. The offer is ignored and the body is read, whether it comes with the head in
one segment, or later and in several.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import pytest

from tests.server.live import Answer, read_answer
from tests.strangers.site import BACK, BASE, USER, Site, basic
from tests.tools import tool

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
NEXT: Final = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


class Post(NamedTuple):
    """A call, and a part of the answer that only its body can have brought."""

    path: str
    kind: str
    body: str
    told: str
    authorization: str = ""
    status: int = 200


# The calls of accounts, each with an answer that shows that its body was read; those of
# registration are closed.
_NO_ACCOUNT: Final = {"token": "none", "password": "none", "refreshToken": "none"}
OF_ACCOUNTS: Final = (
    *(
        (path, _NO_ACCOUNT, 404, "not_found")
        for path in (
            "register",
            "register/resend",
            "register/confirm",
            "invitations/accept",
        )
    ),
    ("password/forgot", {"email": "ada@example.org"}, 202, "message"),
    ("password/reset", _NO_ACCOUNT, 400, "confirmation_invalid"),
    ("password/change", _NO_ACCOUNT | {"currentPassword": "x"}, 401, "refresh_invalid"),
    ("step-up", _NO_ACCOUNT | {"method": "password"}, 401, "refresh_invalid"),
    ("email/change", {"email": "ada@example.org"}, 401, "token_missing"),
    ("email/confirm", _NO_ACCOUNT, 400, "confirmation_invalid"),
    ("email/revert", _NO_ACCOUNT, 400, "confirmation_invalid"),
)

# The calls of second factors, with tickets that are none. Passkeys are off at an
# address that is no name.
_NO_TICKET: Final = {"continuation": "none", "factor": "none", "code": "000000"}
_NO_PASSKEY: Final[dict[str, Any]] = {
    "continuation": "none",
    "challenge": "none",
    "credential": {},
}
_NO_SESSION: Final = {"refreshToken": "none"}
OF_FACTORS: Final[tuple[tuple[str, dict[str, Any], int, str], ...]] = (
    ("login/continue", _NO_TICKET | {"method": "totp"}, 401, "continuation_expired"),
    ("login/passkey/options", {}, 404, "not_found"),
    ("login/passkey", _NO_PASSKEY, 404, "not_found"),
    ("login/enrol", _NO_TICKET, 401, "continuation_expired"),
    ("login/enrol/totp", _NO_TICKET, 401, "continuation_expired"),
    ("login/enrol/totp/confirm", _NO_TICKET, 401, "continuation_expired"),
    ("login/enrol/passkey/options", _NO_TICKET, 404, "not_found"),
    ("login/enrol/passkey", _NO_PASSKEY, 404, "not_found"),
    ("factors/totp", {}, 401, "token_missing"),
    (
        "factors/totp/confirm",
        _NO_TICKET | _NO_SESSION,
        401,
        "refresh_invalid",
    ),
    ("factors/passkeys/options", {}, 404, "not_found"),
    ("factors/passkeys", _NO_PASSKEY | _NO_SESSION, 404, "not_found"),
    ("factors/recovery-codes", {}, 401, "token_missing"),
)


def posts(site: Site) -> list[Post]:
    """Every call of the API that is a POST."""
    spent, over, everywhere, userinfo = (site.login() for _ in range(4))
    app = [site.token(site.app) for _ in range(2)]
    catalogue = basic(site.catalogue)

    def form(path: str, told: str, authorization: str = "", **fields: str) -> Post:
        return Post(path, FORM, urlencode(fields), told, authorization)

    def token_of(tokens: Any) -> str:
        return json.dumps({"refreshToken": tokens["refreshToken"]})

    refresh = {"grant_type": "refresh_token", "client_id": site.app.id}
    return [
        Post(f"{BASE}/login", JSON, json.dumps(USER), '"accessToken"'),
        Post(f"{BASE}/refresh", JSON, token_of(spent), spent["sessionId"]),
        Post(f"{BASE}/logout", JSON, token_of(over), "Logged out"),
        form(
            "/oauth/token",
            '"access_token"',
            refresh_token=app[0]["refresh_token"],
            **refresh,
        ),
        form(
            "/oauth/introspect",
            '"active":true',
            catalogue,
            token=app[1]["access_token"],
        ),
        form(
            "/oauth/revoke",
            "",
            token=app[1]["refresh_token"],
            client_id=site.app.id,
        ),
        form(
            "/oauth/par",
            "code_challenge is missing",
            client_id=site.phone.id,
            redirect_uri=BACK,
            response_type="code",
        )._replace(status=400),
        form(
            "/oauth/userinfo",
            "insufficient_scope",
            access_token=userinfo["accessToken"],
        )._replace(status=403),
        Post(f"{BASE}/logout-all", "", "", "", f"Bearer {everywhere['accessToken']}"),
        *(
            Post(f"{BASE}/{path}", JSON, json.dumps(body), told, status=status)
            for path, body, status, told in (*OF_ACCOUNTS, *OF_FACTORS)
        ),
    ]


class Segments:
    """Passes one request of a connection on, in one segment or in several.

    Then it asks for something else on the same connection: what the server took for the
    end of the first request shows in the answer to the second.
    """

    def __init__(self, port: int, *, several: bool) -> None:
        self._behind = port
        self._several = several
        self.passed: list[tuple[bytes, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            with connection:
                request = read_answer(connection)  # framed alike
                if request:
                    connection.sendall(self._pass(request))

    def _pass(self, request: bytes) -> bytes:
        head, blank, body = request.partition(b"\r\n\r\n")
        middle = len(body) // 2
        pieces = [head + blank, body[:middle], body[middle:]]
        with socket.create_connection(("127.0.0.1", self._behind)) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError):  # it has answered and closed
                for piece in pieces if self._several else [request]:
                    server.sendall(piece)
                    time.sleep(0.05)  # so that they arrive as several
            answer, following = read_answer(server), b""
            with suppress(OSError):
                server.sendall(NEXT)
                following = read_answer(server)
            self.passed.append((request, following))
            return answer

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def segments(port: int, *, several: bool) -> Iterator[Segments]:
    between = Segments(port, several=several)
    thread = threading.Thread(target=between.serve)
    thread.start()
    try:
        yield between
    finally:
        between.close()
        thread.join()


def by_java(url: str, calls: list[Post]) -> list[tuple[int, str]]:
    fields = ([url + one.path, one.kind, one.authorization, one.body] for one in calls)
    done = subprocess.run(
        [tool("java"), Path(__file__).with_name("Posts.java")],
        input="\n".join(map("\t".join, fields)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = (line.partition("\t") for line in done.stdout.splitlines())
    return [(int(status), body) for status, _, body in answers]


def by_curl(url: str, calls: list[Post]) -> list[tuple[int, str]]:
    answers = []
    for one in calls:
        done = subprocess.run(
            [
                *(tool("curl"), "-s", "--http2", "-w", "\n%{http_code}"),
                *("-H", f"Content-Type: {one.kind}", "--data", one.body),
                *("-H", f"Authorization: {one.authorization}", url + one.path),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        body, _, status = done.stdout.rpartition("\n")
        answers.append((int(status), body))  # 0 where there was none
    return answers


Send = Callable[[str, list[Post]], list[tuple[int, str]]]


@pytest.mark.parametrize(
    "several",
    [
        pytest.param(False, id="one segment", marks=pytest.mark.slow),
        pytest.param(True, id="several"),
    ],
)
@pytest.mark.parametrize(
    "send",
    [
        pytest.param(by_java, marks=pytest.mark.needs("java"), id="java"),
        pytest.param(by_curl, marks=pytest.mark.needs("curl"), id="curl"),
    ],
)
def test_every_post_is_answered_once_with_its_body_read(
    site: Site, send: Send, *, several: bool
) -> None:
    calls = posts(site)
    with segments(site.live.port, several=several) as between:
        answers = send(f"http://127.0.0.1:{between.port}", calls)
    for call, (status, body) in zip(calls, answers, strict=True):
        assert (status, call.told in body) == (call.status, True), (call.path, body)
    assert len(between.passed) == len(calls)
    for request, following in between.passed:
        assert b"\r\nUpgrade: h2c\r\n" in request
        # Nothing was left over, or the connection was closed.
        assert not following or Answer(following).json() == {"status": "ok"}


def test_the_table_has_every_post_of_the_api(site: Site) -> None:
    paths = site.live.call("GET", "/openapi.json").json()["paths"]
    offered = {path for path, methods in paths.items() if "post" in methods}
    # The admin API reads its bodies by the same function as /api/auth does.
    offered = {path for path in offered if not path.startswith("/api/admin/")}
    assert offered == {call.path for call in posts(site)}
