"""What a connection may send, and for how long: raw bytes to a real process."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.patience import until
from tests.server.live import PASSWORD, Answer, Live, read_answer

DEADLINE = 0.6
LOGIN = (
    b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
)
SECURE = b"GET /api/auth/secure HTTP/1.1\r\nHost: h\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("wire") / "data"
    with Live(folder, seconds=DEADLINE) as server:
        pid = server.pid
        yield server
        assert server.process.poll() is None
        assert server.pid == pid
        assert "Traceback" not in server.printed()


@pytest.mark.parametrize(
    "sent",
    {
        "nothing": b"",
        "half a request line": b"GET /hea",
        "half a head": SECURE,
        "blank lines": b"\r\n\r\n",
        "half a body": LOGIN + b"Content-Length: 50\r\n\r\n{",
        "no body": LOGIN + b"Content-Length: 50\r\n\r\n",
        "half a chunk": LOGIN + CHUNKED + b"5\r\n{",
        "half a size": LOGIN + CHUNKED + b"1\r\n{\r\n1",
        "half a trailer": LOGIN + CHUNKED + b"0\r\nX-A: b",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_sender_that_stops_is_told_so_and_cut(
    live: Live, sent: tuple[str, bytes]
) -> None:
    began = time.monotonic()
    answer = Answer(live.talk(sent[1]))
    assert (answer.status, answer.code) == (408, "invalid_request")
    assert answer.headers["connection"] == "close"
    assert time.monotonic() - began > DEADLINE / 2


@pytest.mark.parametrize(
    "start",
    {
        "head": SECURE + b"X: ",
        "body": LOGIN + b"Content-Length: 9999\r\n\r\n",
        "body in chunks": LOGIN + CHUNKED + b"2000\r\n",
        "extension of a chunk": LOGIN + CHUNKED + b"1;",
        "trailer": LOGIN + CHUNKED + b"0\r\nX: ",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_sender_of_a_byte_now_and_then_is_cut_too(
    live: Live, start: tuple[str, bytes]
) -> None:
    with live.connect() as connection:
        connection.sendall(start[1])
        connection.settimeout(0.05)
        received = b""
        while not received:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                received = connection.recv(65536)
    assert Answer(received).status == 408


@pytest.mark.parametrize("more", [b"\r\n", b"G", SECURE])
def test_the_deadline_holds_for_later_requests_of_a_connection_too(
    live: Live, more: bytes
) -> None:
    """Blank lines between requests are allowed, and hold no socket for ever."""
    with live.connect() as connection:
        connection.sendall(HEALTH)
        assert Answer(read_answer(connection)).status == 200
        time.sleep(DEADLINE * 1.5)  # kept alive: waiting is allowed
        connection.sendall(HEALTH)
        assert Answer(read_answer(connection)).status == 200
        connection.sendall(more)
        assert Answer(read_answer(connection)).status == 408
        assert connection.recv(1) == b""


def test_an_answer_that_came_early_is_the_only_one(live: Live) -> None:
    """A body that is refused unread and never finished is not answered twice."""
    with live.connect() as connection:
        connection.sendall(LOGIN + b"Content-Length: 9999999\r\n\r\n{")
        assert Answer(read_answer(connection)).status == 413
        assert connection.recv(65536) == b""


def test_an_endless_head_is_refused(live: Live) -> None:
    for start in (b"GET /", SECURE + b"X: ", SECURE):
        with live.connect() as connection:
            connection.sendall(start)
            answer = b""
            connection.settimeout(0.001)
            for number in range(400):
                piece = b"x" * 1024 if start != SECURE else b"X-%d: y\r\n" % number * 99
                try:
                    connection.sendall(piece)
                    answer += connection.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    break
                if answer:
                    break
        assert Answer(answer).status == 431
        assert Answer(answer).code == "invalid_request"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/3.7\r\n\r\n",
        b"FROB /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost h\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA\x00b: c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA: b\x00c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA: b\n\tc\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        LOGIN + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        LOGIN + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        LOGIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        LOGIN + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        LOGIN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        LOGIN + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_garbage_is_a_problem_and_the_end_of_the_connection(
    live: Live, garbage: bytes
) -> None:
    answer = Answer(live.talk(garbage))
    assert 400 <= answer.status < 500
    assert answer.code in {"invalid_request", "not_found", "method_not_allowed"}


@pytest.mark.parametrize("header", ["Host", "Authorization", "Idempotency-Key"])
def test_any_byte_in_a_header_is_at_worst_a_refusal(live: Live, header: str) -> None:
    with_body = LOGIN.replace(b"login", b"refresh") + b"Content-Length: 2\r\n"
    for number in [*range(0x01, 0x20), *range(0x7F, 0x100)]:
        value = b"Bearer a" + bytes([number]) + b"b"
        line = f"{header}: ".encode() + value + b"\r\n\r\n"
        for start, body in ((SECURE, b""), (with_body, b"{}")):
            head = start.replace(b"Host: h\r\n", b"") if header == "Host" else start
            answer = Answer(live.talk(head + line + body))
            assert 400 <= answer.status < 500, (number, answer.raw)
            assert answer.code


def test_bytes_of_every_kind_in_name_agent_and_path(live: Live) -> None:
    """A device may call itself anything: what is kept of it is visible ASCII."""
    body = b'{"username":"admin","password":"%s"}' % PASSWORD.encode()
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    agent = b"User-Agent: \x80\xff\t<script>\xc3\xa9\r\n"
    signed_in = Answer(live.talk(LOGIN + agent + length + body))
    assert signed_in.status == 200, signed_in.raw
    access = signed_in.json()["accessToken"]
    listed = live.call("GET", "/api/auth/sessions", access=access).json()
    agents = [row["userAgent"] for row in listed["sessions"] if row["current"]]
    assert len(agents) == 1
    assert agents[0].isascii()
    assert agents[0].isprintable()
    for path in (
        b"/%00",
        b"/%ff%fe",
        b"/%0d%0aX:y",
        b"/api/auth/sessions/%F0%9F%92%A9",
    ):
        answer = Answer(live.talk(b"GET " + path + b" HTTP/1.1\r\nHost: h\r\n\r\n"))
        assert answer.status in {404, 405}
        assert "\r\nx:" not in answer.raw.decode("latin-1").lower()


def test_pipelined_requests_are_answered_in_order(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(HEALTH + SECURE + b"\r\n" + HEALTH)
        received = b""
        while received.count(b"HTTP/1.1 ") < 3 or not received.endswith(b"}"):
            received += connection.recv(65536)
    statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"401", b"200"]


def test_a_client_may_ask_whether_to_go_on(live: Live) -> None:
    head = LOGIN + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(head)
        assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert Answer(read_answer(connection)).status == 400


def test_what_follows_a_refusal_of_a_body_that_was_asked_for_is_no_request(
    live: Live,
) -> None:
    """Nor a body: a client that waited for 100 sends either (RFC 9110 §10.1.1)."""
    head = SECURE + b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n"
    with live.connect() as connection:
        connection.sendall(head)
        answer = Answer(read_answer(connection))
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        connection.sendall(HEALTH * 2)
        assert connection.recv(65536) == b""


def test_no_other_protocol_is_spoken(live: Live) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\n\r\n"
    for protocol in (b"h2c", b"websocket", b"TLS/1.3"):
        answer = Answer(live.talk(SECURE + upgrade % protocol))
        assert answer.status == 401


@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_sign_in_that_offers_another_protocol_is_a_sign_in(
    live: Live, pause: float
) -> None:
    """The offer is ignored and the body is read (RFC 9110 §7.8), in one packet or two.

    Java's HttpClient offers h2c with every POST, as `curl --http2` does.
    """
    body = b'{"username":"admin","password":"%s"}' % PASSWORD.encode()
    head = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
    answer = Answer(live.talk(LOGIN + head % len(body), body, pause=pause))
    assert answer.status == 200
    assert answer.json()["refreshToken"]


def test_head_is_get_without_the_body(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(HEALTH.replace(b"GET", b"HEAD") + HEALTH)
        received = b""
        while b"}" not in received:
            received += connection.recv(65536)
    first, second = received.split(b"HTTP/1.1 ")[1:]
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(b"200")


def test_the_server_does_not_say_what_it_is(live: Live) -> None:
    answer = Answer(live.talk(HEALTH))
    assert "server" not in answer.headers
    assert "x-powered-by" not in answer.headers


def test_the_access_log_has_a_line_for_each_answer_and_no_query(live: Live) -> None:
    secret = "canary-in-a-query-string-0123456789"
    Answer(live.talk(HEALTH.replace(b"healthz", b"healthz?token=" + secret.encode())))
    Answer(live.talk(HEALTH.replace(b"healthz", b"after-it")))
    until(lambda: "GET /after-it 404" in live.printed())
    assert "GET /healthz 200" in live.printed()
    assert secret not in live.printed()


@pytest.mark.parametrize(
    "spelt",
    ["ww_rt_%s", "ww%%5Frt%%5f%s", "%%77w_r%%74_%s", "eyJ%s.a.b", "%%65yJ%s%%2Ea"],
)
def test_a_token_in_a_path_is_not_in_the_log_however_it_is_spelt(
    live: Live, spelt: str
) -> None:
    secret = "canary-in-a-path-0123456789-abcdefghijklmnopqrstuvwxyz"
    before = len(live.printed())
    path = f"/gone/{spelt % secret}".encode()
    Answer(live.talk(HEALTH.replace(b"/healthz", path)))
    until(lambda: "GET /gone/" in live.printed()[before:])
    assert "GET /gone/[token] 404" in live.printed()[before:]
    assert secret not in live.printed()


def test_the_log_has_one_line_with_the_address_for_what_is_malformed(
    live: Live,
) -> None:
    """And nothing of what was sent: it may have been a token."""
    secret = b"canary-in-a-broken-head"
    before = live.printed()
    answer = Answer(live.talk(b"GET /healthz HTTP/1.1\r\nX %s\r\n\r\n" % secret))
    assert answer.status == 400
    (line,) = live.printed().removeprefix(before).splitlines()
    assert "INFO watchword.server: 127.0.0.1 refused: not HTTP/1.1: " in line
    assert secret.decode() not in line


def test_half_a_connection_is_none(live: Live) -> None:
    """A client that will send nothing more has gone: it is not waited for."""
    with live.connect() as connection:
        connection.sendall(SECURE)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536) == b""
