"""What one connection can make the server hold, and for how long."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.server.live import Answer, Live, read_answer

DEADLINE: Final = 0.6
PATIENCE: Final = 120
CHUNKED: Final = (
    b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
SECURE: Final = b"GET /api/auth/secure HTTP/1.1\r\nHost: h\r\n"
# The largest answer that there is.
LARGE: Final = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: h\r\n"
MIB: Final = 1024


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("bounds") / "data"
    with Live(
        folder,
        seconds=DEADLINE,
        WATCHWORD_BEHIND_PROXY="127.0.0.1",
        WATCHWORD_ISSUER="https://login.example.org",
    ) as server:
        yield server
        assert server.process.poll() is None
        assert "Traceback" not in server.printed()


def sockets(live: Live) -> int:
    found = 0
    for one in Path(f"/proc/{live.pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += one.readlink().name.startswith("socket:")
    return found


def until(done: object) -> None:
    assert callable(done)
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def reader_of_little(live: Live) -> socket.socket:
    """A client whose machine takes as little as it can."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", live.port))
    return client


@pytest.mark.parametrize(
    "sent",
    {
        "the last answer": LARGE
        + b"X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n",
        "many": (LARGE + b"X-Forwarded-Proto: https\r\n\r\n") * 500,
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("reads", [0, 1])
def test_a_client_that_does_not_read_its_answers_is_cut(
    live: Live, sent: tuple[str, bytes], reads: int
) -> None:
    """Neither is one kept that reads a byte now and then."""
    before = sockets(live)
    with reader_of_little(live) as client:
        client.sendall(sent[1])
        until(lambda: sockets(live) > before or client.recv(1))

        def is_cut() -> bool:
            with suppress(OSError):
                client.recv(reads)
            return sockets(live) <= before

        until(is_cut)


def test_a_client_that_reads_slowly_gets_all(live: Live) -> None:
    """Longer than the deadline, but at a pace."""
    with live.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(LARGE + b"X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
        received = 0
        began = time.monotonic()
        while more := client.recv(65536):
            received += len(more)
            if time.monotonic() - began < 3 * DEADLINE:
                time.sleep(DEADLINE / 20)
    assert received > MIB * 1024


@pytest.mark.parametrize(
    "endless",
    {
        "trailers": b"0\r\n" + b"X-A: b\r\n" * 10_000,
        "a trailer": b"0\r\nX-A: " + b"b" * 80_000,
        "an extension": b"1;" + b"a" * 80_000,
        "extensions": (b"1;%b\r\n{\r\n" % (b"a" * 500)) * 200,
        "sizes": b"0" * 80_000,
        "chunks": b"1\r\n{\r\n" * 14_000,
    }.items(),
    ids=lambda item: item[0],
)
def test_all_of_a_request_that_is_no_body_has_one_budget(
    live: Live, endless: tuple[str, bytes]
) -> None:
    answer = Answer(live.talk(CHUNKED + endless[1]))
    # llhttp itself refuses a size of so many digits.
    assert answer.status in ({400, 431} if endless[0] == "sizes" else {431})


@pytest.mark.parametrize("rest", [b"\r\n" * 80_000, b"a" * 160_000])
def test_the_rest_of_a_body_that_was_refused_is_not_parsed_for_long(
    live: Live, rest: bytes
) -> None:
    """Blank lines in it would cost most: each of them may be the end."""
    told = live.printed().count("refused: the rest of the body is too large")
    with live.connect() as client:
        client.sendall(b"POST /healthz HTTP/1.1\r\nHost: h\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        assert Answer(read_answer(client)).status == 405
        client.sendall(b"%x\r\n%b" % (len(rest), rest))
        assert client.recv(65536) == b""
    until(
        lambda: (
            live.printed().count("refused: the rest of the body is too large") > told
        )
    )


@pytest.mark.parametrize("pause", [0, 0.02])
def test_a_trailer_is_no_header(live: Live, pause: float) -> None:
    """RFC 9110 §6.5.1: neither a token nor an address may come in one."""
    head = SECURE + b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    trailers = b"Authorization: Bearer eyJx\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
    pieces = [head + b"0\r\n" + trailers]
    if pause:
        pieces = [head, b"0\r", b"\n", trailers[:20], trailers[20:-1], b"\n"]
    answer = Answer(live.talk(*pieces, pause=pause))
    assert (answer.status, answer.code) == (401, "token_missing")
    until(
        lambda: "203.0.113.9 GET /api/auth/secure 401 token_missing" in live.printed()
    )
    assert "198.51.100.1" not in live.printed()


def test_what_comes_before_its_turn_is_answered_in_its_turn(live: Live) -> None:
    """More requests than one read brings: each waits for the answer before it."""
    health = b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: %d\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with live.connect() as client:
        client.sendall(b"".join(health % one for one in range(2000)) + last)
        received = b""
        while more := client.recv(65536):
            received += more
    assert received.count(b"HTTP/1.1 200 ") == 2001


def test_memory_comes_back_after_an_attack(live: Live) -> None:
    """Of pipelined requests whose answers are not read, and of endless trailers."""

    def attack() -> None:
        clients = [reader_of_little(live) for _ in range(40)]
        for number, client in enumerate(clients):
            with suppress(OSError):
                if number % 2:
                    client.sendall((LARGE + b"X-Forwarded-Proto: https\r\n\r\n") * 500)
                else:
                    client.sendall(CHUNKED + b"0\r\n" + b"X-A: b\r\n" * 7_000)
        for client in clients:
            linger = struct.pack("ii", 1, 0)  # a reset: nothing waits for the rest
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
        until(lambda: sockets(live) <= before)

    before = sockets(live)
    attack()
    warm = live.resident_kib()
    for _ in range(5):
        attack()
    assert live.resident_kib() < warm * 1.2


def test_a_connection_kept_alive_is_as_good_after_a_body_left_unread(
    live: Live,
) -> None:
    """An answer that comes before the body has no deadline left over from it."""
    with live.connect() as client:
        client.sendall(
            b"POST /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
        )
        assert Answer(read_answer(client)).status == 405
        client.sendall(b"GET /")
        time.sleep(DEADLINE * 2)  # no speed of the machine makes this fail
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert Answer(read_answer(client)).status == 200
