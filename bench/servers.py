"""Processes: starting, pinning, watching and stopping servers and load generators.

Owns every child of a benchmark run. A server is the real thing: `watchword serve`, with
the environment's own WATCHWORD_* settings taken out, on a free port of loopback.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench.load import Plan, Report

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1
USERNAME: Final = "admin"
PASSWORD: Final = "correct-horse-battery-staple-41"
WATCHWORD: Final = [str(Path(sys.executable).with_name("watchword"))]
PROFILED: Final = [sys.executable, "-m", "bench.profiled"]
UNBATCHED: Final = [sys.executable, "-m", "bench.unbatched"]
PATIENCE: Final = 20.0


class BenchFailed(Exception):
    """A server did not start or did not answer: the row cannot be measured."""


class Server(msgspec.Struct, frozen=True):
    """A running server; `started` is the seconds from its start to its first answer."""

    port: int
    pid: int
    started: float

    def processes(self) -> list[int]:
        """The server and all its descendants."""
        return processes(self.pid)

    def resident_mb(self) -> float:
        """Resident memory of the whole process tree, in MB (10^6)."""
        pages = sum(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            for pid in self.processes()
        )
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_seconds(self) -> float:
        """CPU time that the process tree has used."""
        return cpu_seconds(self.pid)


def processes(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for one in found:
        children = Path(f"/proc/{one}/task/{one}/children")
        with contextlib.suppress(FileNotFoundError):  # gone since its parent was read
            found += map(int, children.read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process tree, with that of children which have ended."""
    ticks = 0
    for one in processes(pid):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def pin(core: int | None) -> Callable[[], None] | None:
    """For `preexec_fn`: keep a child on one core, before it starts a thread."""
    if core is None:
        return None
    return functools.partial(os.sched_setaffinity, 0, {core})


def environment() -> dict[str, str]:
    """This process's, without settings of Watchword."""
    return {k: v for k, v in os.environ.items() if not k.startswith("WATCHWORD_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        payload = None if body is None else msgspec.json.encode(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _first_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.perf_counter() + PATIENCE
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            break
        try:
            if call(port, "GET", "/readyz")[0] == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        time.sleep(0.002)
    tail = log.read_text("utf-8", "replace")[-2000:]
    message = f"no answer from {process.args!r}:\n{tail}"
    raise BenchFailed(message)


@contextmanager
def running(
    command: Sequence[str], log: Path, core: int | None, env: dict[str, str]
) -> Iterator[Server]:
    """Start `command --port P`, wait until it answers, stop it at the end."""
    port = free_port()
    started = time.perf_counter()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment() | env,
            preexec_fn=pin(core),  # noqa: PLW1509 - this process has one thread
        )
    try:
        _first_answer(process, port, log)
        yield Server(port, process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def watchword(
    data: Path,
    core: int | None = SERVER_CORE,
    *,
    program: Sequence[str] = WATCHWORD,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """`watchword serve` on `data`, pinned to one core unless told otherwise.

    `settings` are the environment's; `program` may be another that does the same.
    """
    serve = [*program, "serve", "--data", str(data)]
    env = {"WATCHWORD_ADMIN_PASSWORD": PASSWORD, **(settings or {})}
    with running(serve, data.with_suffix(".log"), core, env) as server:
        yield server


@contextmanager
def bare(folder: Path, answer: bytes) -> Iterator[Server]:
    """The bare handler, answering with fields as long as those of `answer`."""
    command = [sys.executable, "-m", "bench.bare"]
    env = {"BENCH_ANSWER": answer.decode()}
    with running(command, folder / "bare.log", SERVER_CORE, env) as server:
        yield server


def sign_in(server: Server) -> bytes:
    """The raw answer of one sign-in."""
    credentials = {"username": USERNAME, "password": PASSWORD}
    status, answer = call(server.port, "POST", "/api/auth/login", credentials)
    if status != http.HTTPStatus.OK:
        message = f"sign-in answered {status}: {answer[:500]!r}"
        raise BenchFailed(message)
    return answer


def sign_in_plan(
    server: Server,
    connections: int,
    *,
    seconds: float = 0,
    warmup: float = 0.5,
    per_token: int = 0,
) -> Plan:
    """Sign-ins with the right password, over and over."""
    return Plan(
        kind="login",
        port=server.port,
        connections=connections,
        username=USERNAME,
        password=PASSWORD,
        seconds=seconds,
        warmup=warmup,
        per_token=per_token,
    )


def sign_in_many(server: Server, count: int, *, proofs: bool = False) -> list[str]:
    """The refresh tokens of `count` sessions; with `proofs`, each bound to its key."""
    # Few at once: the throttle counts pending sign-ins of one name until they succeed.
    connections = min(4, count)
    plan = sign_in_plan(server, connections, per_token=-(-count // connections))
    if proofs:
        plan = msgspec.structs.replace(
            plan, per_token=1, proofs=True, tokens=[""] * count
        )
    report = put_load(plan)
    if len(report.tokens) < count:
        message = f"{len(report.tokens)} of {count} sign-ins: {report.errors}"
        raise BenchFailed(message)
    return report.tokens[:count]


def add_client(data: Path, name: str, *options: str) -> str:
    """A new confidential client's credentials, as `Authorization: Basic` has them."""
    command = [*WATCHWORD, "clients", "add", name, "--confidential", *options]
    answer = subprocess.run(
        [*command, "--data", str(data), "--json"],
        check=True,
        stdout=subprocess.PIPE,
        env=environment(),
    )
    made = msgspec.json.decode(answer.stdout)
    return b64encode(f"{name}:{made['clientSecret']}".encode()).decode()


def start_load(plan: Plan) -> subprocess.Popen[bytes]:
    """A load generator on its own core, at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=pin(LOAD_CORE),  # noqa: PLW1509 - this process has one thread
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(plan))
    process.stdin.close()
    return process


def finish_load(process: subprocess.Popen[bytes]) -> Report:
    """Wait for a load generator's report."""
    assert process.stdout is not None
    answer = process.stdout.read()
    process.stdout.close()
    if process.wait():
        message = "the load generator failed; its traceback is above"
        raise BenchFailed(message)
    report = msgspec.json.decode(answer, type=Report)
    if not report.answers:
        message = f"nothing was answered with 200: {report.errors}"
        raise BenchFailed(message)
    return report


def put_load(plan: Plan) -> Report:
    """Carry out a plan in a process of its own."""
    return finish_load(start_load(plan))


def hash_rate(threads: int, seconds: float) -> float:
    """Bare argon2id verifications per second on the server's core."""
    command = [sys.executable, "-m", "bench.hashing"]
    options = ["--threads", str(threads), "--seconds", str(seconds)]
    answer = subprocess.run(
        [*command, *options],
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=pin(SERVER_CORE),
    )
    return float(answer.stdout)
