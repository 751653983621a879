"""The sockets that a server has: where it listens, and how many callers it holds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import ssl
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.patience import PATIENCE, auntil
from tests.server.live import PASSWORD, Live, read_answer, request
from tests.server.test_https import certificate
from watchword.core.limits import CONNECTIONS_MAX
from watchword.server.connections import Connections, most_connections
from watchword.server.handshakes import serve_tls
from watchword.server.listening import listen
from watchword.server.protocol import BoundedProtocol

ISSUER: dict[str, Any] = {
    "WATCHWORD_ISSUER": "https://login.example",
    "WATCHWORD_SECRET": "a-server-secret-of-these-tests-0123456789",
}


class Line:
    gone = False

    def abort(self) -> None:
        self.gone = True


def test_the_longest_idle_connection_makes_room() -> None:
    """One that answers is never let go; one that has been answered is idle anew."""
    here = Connections(3)
    first, second, third, fourth, fifth = (Line() for _ in range(5))
    for line in (first, second, third):
        assert here.opened(line)
    here.answering(first)
    here.answering(second)
    here.idle(second)  # later than the third
    assert here.opened(fourth)
    assert here.opened(fifth)
    assert [line.gone for line in (first, second, third, fourth)] == [0, 1, 1, 0]
    assert len(here) == 3


def test_where_every_connection_answers_a_new_one_is_refused() -> None:
    here = Connections(1)
    busy, other = Line(), Line()
    assert here.opened(busy)
    here.answering(busy)
    assert not here.opened(other)
    here.idle(other)  # it was never counted
    here.closed(other)
    here.idle(busy)
    assert here.opened(other)
    assert busy.gone
    here.closed(busy)
    assert len(here) == 1


def test_without_a_limit_none_is_let_go() -> None:
    here = Connections()
    lines = [Line() for _ in range(2000)]
    assert all(map(here.opened, lines))
    assert not any(line.gone for line in lines)


async def test_a_connection_that_is_over_is_gone_at_once() -> None:
    """Nothing of it waits for the garbage collector, however it ended."""
    config = Config(Starlette(), lifespan="off")
    config.load()
    state, there = ServerState(), []

    def protocol() -> Any:
        one = BoundedProtocol(config, state, {})
        there.append(weakref.ref(one))
        return one

    loop = asyncio.get_running_loop()
    async with await loop.create_server(protocol, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        gc.disable()
        try:
            head = b"GET / HTTP/1.1\r\nHost: h\r\n"
            ends = (b"\r\n", b"Connection: close\r\n\r\n", b"Host: two\r\n\r\n")
            for sent in (b"", *(head + end for end in ends)):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                if sent:
                    assert (await reader.read(12)).startswith(b"HTTP/1.1 ")
                writer.close()
                await writer.wait_closed()
            await auntil(lambda: not any(one() for one in there))
        finally:
            gc.enable()
    assert len(there) == 4


@pytest.mark.parametrize(
    ("files", "connections"),
    [(64, 16), (128, 64), (1024, 896), (20_000, 17_500), (2**30, CONNECTIONS_MAX)],
)
def test_some_files_are_kept_for_the_store(files: int, connections: int) -> None:
    assert most_connections(files) == connections


@pytest.mark.parametrize("secure", [False, True])
def test_one_caller_with_all_connections_leaves_room_for_others(
    tmp_path: Path, *, secure: bool
) -> None:
    """The soft limit of open files is raised, and the longest idle one goes."""
    files = (100, 200)
    live = (
        tls(tmp_path, files=files) if secure else Live(tmp_path / "data", files=files)
    )
    requested = request("GET", "/healthz", {"Host": "h"})
    with live:
        held = []
        for _ in range(250):
            held.append(live.connect())
            held[-1].sendall(requested)
            assert b" 200 " in read_answer(held[-1])[:20]
        assert live.login()["accessToken"]
        limits = Path(f"/proc/{live.pid}/limits").read_text()
        (found,) = [line for line in limits.splitlines() if "open files" in line]
        assert found.split()[3:5] == ["200", "200"]
        with contextlib.suppress(OSError):  # TLS notices that it was cut off
            assert held[0].recv(10) == b""
        held[-1].sendall(requested)  # the newest stay
        assert b" 200 " in read_answer(held[-1])[:20]
        for one in held:
            one.close()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
            id="a body that does not come",
        ),
        pytest.param(
            b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: h\r\n\r\n" * 3,
            id="answers that are not read",
        ),
    ],
)
def test_no_caller_keeps_a_place_by_being_waited_for(
    tmp_path: Path, sent: bytes
) -> None:
    live = Live(tmp_path / "data", files=(120, 120))
    with live, contextlib.ExitStack() as held:
        for _ in range(150):
            one = held.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", live.port))
            one.sendall(sent)
        for _ in range(3):
            assert live.login()["accessToken"]


class Handshake:
    """A client's handshake, over a raw socket and piece by piece."""

    def __init__(self, live: Live) -> None:
        assert live.context is not None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.secure = live.context.wrap_bio(
            self._in, self._out, server_hostname="127.0.0.1"
        )
        with pytest.raises(ssl.SSLWantReadError):
            self.secure.do_handshake()
        self.hello = self._out.read()

    def finish(self, raw: socket.socket, requested: bytes) -> bytes:
        """The first bytes of the answer to what is sent right behind it."""
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.secure.do_handshake()
                break
            self._in.write(raw.recv(65536))
        self.secure.write(requested)
        raw.sendall(self._out.read())
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self.secure.read(20)
            self._in.write(raw.recv(65536))


def tls(
    folder: Path,
    *flags: str,
    files: tuple[int, int] | None = None,
    seconds: float = 0,
) -> Live:
    cert, key = certificate(folder)
    context = ssl.create_default_context(cafile=str(cert))
    flags = ("--tls-cert", str(cert), "--tls-key", str(key), *flags)
    given: Any = {"context": context, "seconds": seconds, "files": files}
    return Live(folder / "data", *flags, **given, **ISSUER)


def bare(live: Live, sent: bytes) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", live.port), PATIENCE)
    raw.sendall(sent)
    return raw


def ended(raw: socket.socket) -> bool:
    try:
        return raw.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_caller_keeps_a_place_by_a_handshake(tmp_path: Path, workers: str) -> None:
    """Bare connections and half a ClientHello: the oldest go, and all are renewed."""
    live = tls(tmp_path, "--workers", workers, files=(120, 120), seconds=2 * PATIENCE)
    with live, contextlib.ExitStack() as held:
        hello = Handshake(live).hello
        for sent in (b"", hello[: len(hello) // 2]):
            for _ in range(250):
                held.enter_context(bare(live, sent))
            for _ in range(3):
                assert live.login()["accessToken"]


def test_a_handshake_may_take_its_time_where_there_is_room(tmp_path: Path) -> None:
    with tls(tmp_path, seconds=2 * PATIENCE) as live:
        one = Handshake(live)
        with bare(live, one.hello[:100]) as raw:
            assert live.login()["accessToken"]
            raw.sendall(one.hello[100:])
            requested = request("GET", "/healthz", {"Host": "h"})
            assert b" 200 " in one.finish(raw, requested)


def test_a_handshake_that_is_never_finished_is_ended(tmp_path: Path) -> None:
    with tls(tmp_path, seconds=0.2) as live, bare(live, b"") as raw:
        assert ended(raw)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_handshakes_do_not_hold_up_a_server_that_stops(
    tmp_path: Path, workers: str
) -> None:
    live = tls(tmp_path, "--workers", workers, seconds=2 * PATIENCE)
    with live, contextlib.ExitStack() as held:
        half = Handshake(live).hello[:100]
        callers = [held.enter_context(bare(live, one)) for one in (b"", half) * 5]
        assert live.login()["accessToken"]
        assert live.stop() == 0
        assert all(map(ended, callers))
        assert "exceeded" not in live.printed()
        assert "Traceback" not in live.printed()


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")
        transport.close()


def greeted(folder: Path, test: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Run the test beside a server with one place: its connections, port, trust."""
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def run() -> None:
        here = Connections(1)
        with listen("127.0.0.1", 0)[0] as sock:
            server = await serve_tls(here, Greeter, sock=sock, ssl=context, backlog=9)
            try:
                trust = ssl.create_default_context(cafile=str(cert))
                await test(here, sock.getsockname()[1], trust)
            finally:
                server.close()
                await server.wait_closed()
        assert len(here) == 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def greeting(port: int, trust: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    received = await reader.read()
    writer.close()
    return received


def test_where_every_connection_answers_no_handshake_begins(tmp_path: Path) -> None:
    async def test(here: Connections, port: int, trust: ssl.SSLContext) -> None:
        busy = Line()
        assert here.opened(busy)
        here.answering(busy)
        with pytest.raises(ConnectionError):
            await greeting(port, trust)
        assert not busy.gone
        here.closed(busy)
        assert await greeting(port, trust) == b"hello"

    greeted(tmp_path, test)


def test_a_failed_handshake_gives_its_place_back(tmp_path: Path) -> None:
    async def test(here: Connections, port: int, trust: ssl.SSLContext) -> None:
        for sent in (b"no TLS at all\r\n", b""):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await auntil(lambda: len(here) == 1)
            writer.write(sent)
            writer.close()
            await auntil(lambda: len(here) == 0)
        assert await greeting(port, trust) == b"hello"

    greeted(tmp_path, test)


def test_a_server_without_file_descriptors_accepts_when_it_has_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(_: Connections, port: int, trust: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as caller, contextlib.ExitStack() as files:
            caller.settimeout(0)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
            files.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.suppress(OSError):
                while True:
                    files.enter_context(socket.socket())
            await loop.sock_connect(caller, ("127.0.0.1", port))
            await auntil(lambda: "Too many open files" in caplog.text)
            files.close()
            reader, writer = await asyncio.open_connection(
                sock=caller, ssl=trust, server_hostname="127.0.0.1"
            )
            assert await reader.read() == b"hello"
            writer.close()

    greeted(tmp_path, test)


def test_connections_that_all_leave_at_once_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    with Live(tmp_path / "data") as live:
        requested = request("GET", "/healthz", {"Host": "h"})
        with contextlib.ExitStack() as held:
            for _ in range(900):
                one = held.enter_context(live.connect())
                one.sendall(requested)
                assert b" 200 " in read_answer(one)[:20]
            full = live.resident_kib()
        assert live.login()["accessToken"]  # all have been seen to leave
        assert live.resident_kib() < full * 1.05


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="IPv6: ::1 is not there")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_number_of_workers_listens_on_the_same_sockets(
    tmp_path: Path, workers: str
) -> None:
    """`::` is for both kinds of callers, and an IPv4 proxy is known as such."""
    flags = ("--host", "::", "--workers", workers, "--behind-proxy", "127.0.0.1,::1")
    with Live(tmp_path / "data", *flags, **ISSUER) as live:
        for host in ("127.0.0.1", "::1"):
            body = b'{"username":"admin","password":"%b"}' % PASSWORD.encode()
            head = {
                "Host": "login.example",
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "X-Forwarded-Proto": "https",
                "X-Forwarded-For": "203.0.113.7:4711",
            }
            with socket.create_connection((host, live.port), 15) as caller:
                caller.sendall(request("POST", "/api/auth/login", head, body))
                assert b" 200 " in read_answer(caller)[:20]
        live.stop()
        signed_in = [line for line in live.printed().splitlines() if "POST /" in line]
        assert [line.split()[1] for line in signed_in] == ["203.0.113.7"] * 2


def test_a_name_is_listened_on_at_each_of_its_addresses() -> None:
    sockets = listen("localhost", 0)
    try:
        families = {one.family for one in sockets}
        assert families <= {socket.AF_INET, socket.AF_INET6}
        assert socket.AF_INET in families
    finally:
        for one in sockets:
            one.close()


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(OSError, match="assign"):
        listen("192.0.2.1", 0)
    with listen("127.0.0.1", 0)[0] as taken:
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", taken.getsockname()[1])
