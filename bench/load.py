"""The load generator: keep-alive connections that each follow their own tokens.

Owns one process: a `Plan` comes in as JSON on standard input, a `Report` goes out on
standard output. It starts no server and pins nothing; `servers` does. It answers a
503 or 429 as a client would: the same request, with the same retry key, a little later.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import math
import os
import re
import sys
import time
from array import array
from collections import Counter, deque
from typing import Final, Literal, cast

import msgspec
import uvloop

CONTENT_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
REFRESH_TOKEN: Final = re.compile(rb'"refreshToken": ?"([^"]+)"')
PROBLEM_CODE: Final = re.compile(rb'"code": ?"(\w+)"')
RESEND_AFTER: Final = 0.01
# As long as a browser's: a session remembers it, so it counts in the bytes per session.
USER_AGENT: Final = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/140.0.0.0 Safari/537.36"
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    `refresh` and `secure` spread `tokens` over the connections; `login` needs none.
    With `per_token`, that many answers are fetched for each token (for `login`: for
    each connection), however long it takes; without, the clock decides.
    """

    kind: Literal["refresh", "secure", "login"]
    port: int
    tokens: list[str] = []
    connections: int = 32
    seconds: float = 3.0
    warmup: float = 0.5
    per_token: int = 0
    retry_key: bool = True
    username: str = ""
    password: str = ""
    prefix: str = "/api/auth"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. Latencies in ms; `busy` is the generator's own share of its core.

    `tokens` are the ones to go on with: the current refresh tokens.
    """

    answers: int
    rate: float
    p50: float
    p90: float
    p99: float
    max: float
    errors: dict[str, int]
    tokens: list[str]
    busy: float


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of sorted seconds, in ms; 0 where there are none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000


class Requests:
    """The bytes of each request of a plan, prepared as far as possible."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        host = b"Host: 127.0.0.1:%d\r\nUser-Agent: %s\r\n" % (plan.port, USER_AGENT)
        verb = b"GET" if plan.kind == "secure" else b"POST"
        path = f"{plan.prefix}/{plan.kind}".encode()
        self.head = b"%s %s HTTP/1.1\r\n%s" % (verb, path, host)
        if plan.kind != "secure":
            self.head += b"Content-Type: application/json\r\n"
        body = {"username": plan.username, "password": plan.password}
        self.credentials = msgspec.json.encode(body)

    def make(self, token: bytes) -> bytes:
        if self.plan.kind == "secure":
            return b"%sAuthorization: Bearer %s\r\n\r\n" % (self.head, token)
        if self.plan.kind == "login":
            return self._post(b"", self.credentials)
        key = b""
        if self.plan.retry_key:
            key = b"Idempotency-Key: %s\r\n" % os.urandom(16).hex().encode()
        return self._post(key, b'{"refreshToken":"%s"}' % token)

    def _post(self, headers: bytes, body: bytes) -> bytes:
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return b"".join((self.head, headers, length, body))


class Load:
    """What the connections share: the tokens, the clock and the tally."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests = Requests(plan)
        self.follow = plan.kind == "refresh"
        self.tokens = [token.encode() for token in plan.tokens]
        if plan.kind == "login":
            self.tokens = [b""] * plan.connections
        self.signed_in: list[bytes] = []
        self.latencies = array("d")
        self.errors: Counter[str] = Counter()
        self.open = 0
        self.finished = asyncio.Event()
        now = time.perf_counter()
        self.measure_from = now if plan.per_token else now + plan.warmup
        self.until = math.inf if plan.per_token else self.measure_from + plan.seconds

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.finished.set()


class Connection(asyncio.Protocol):
    """One connection: one request at a time, its tokens in turn."""

    transport: asyncio.Transport

    def __init__(self, load: Load, mine: range) -> None:
        self.load = load
        self.turns = deque((index, load.plan.per_token) for index in mine)
        self.buffer = b""
        self.request = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by duck typing only.
        self.transport = cast("asyncio.Transport", transport)
        self.load.open += 1
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.request:
            self.load.errors["connection lost"] += 1
        self.load.closed()

    def send(self) -> None:
        now = time.perf_counter()
        if now >= self.load.until or not self.turns:
            self.request = b""
            self.transport.close()
            return
        token = self.load.tokens[self.turns[0][0]]
        self.request = self.load.requests.make(token)
        self.sent = now
        self.transport.write(self.request)

    def resend(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        end = data.find(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            self.buffer = data
            return
        self.buffer = b""
        if data[9:12] == b"200":
            self.accepted(data)
        else:
            self.refused(data)

    def accepted(self, answer: bytes) -> None:
        load = self.load
        now = time.perf_counter()
        if load.measure_from <= now <= load.until:
            load.latencies.append(now - self.sent)
        index, left = self.turns.popleft()
        if load.plan.kind != "secure" and (found := REFRESH_TOKEN.search(answer)):
            if load.follow:
                load.tokens[index] = found[1]
            else:
                load.signed_in.append(found[1])
        if left != 1:
            self.turns.append((index, left - 1))
        self.send()

    def refused(self, answer: bytes) -> None:
        status = answer[9:12].decode()
        code = PROBLEM_CODE.search(answer)
        self.load.errors[f"{status} {code[1].decode() if code else ''}".strip()] += 1
        if status in {"429", "503"}:
            asyncio.get_running_loop().call_later(RESEND_AFTER, self.resend)
            return
        index, _ = self.turns.popleft()
        self.load.tokens[index] = b""
        self.send()


async def run(plan: Plan) -> Report:
    """Carry out the plan. Connections that hang are counted, not waited for."""
    # A collection would show up as the server's latency; nothing here makes cycles.
    gc.disable()
    load = Load(plan)
    loop = asyncio.get_running_loop()
    started, cpu = time.perf_counter(), time.process_time()
    # A slot of its own until all are connected: the first must not finish for all.
    load.open = 1
    for number in range(min(plan.connections, len(load.tokens))):
        mine = range(number, len(load.tokens), plan.connections)
        protocol = functools.partial(Connection, load, mine)
        await loop.create_connection(protocol, "127.0.0.1", plan.port)
    load.closed()
    patience = 1800 if plan.per_token else plan.warmup + plan.seconds + 10
    try:
        await asyncio.wait_for(load.finished.wait(), patience)
    except TimeoutError:
        load.errors["no answer"] += load.open
    elapsed = time.perf_counter() - started
    measured = elapsed if plan.per_token else plan.seconds
    ordered = sorted(load.latencies)
    tokens = load.signed_in if plan.kind == "login" else load.tokens
    return Report(
        answers=len(ordered),
        rate=len(ordered) / measured,
        p50=percentile(ordered, 0.5),
        p90=percentile(ordered, 0.9),
        p99=percentile(ordered, 0.99),
        max=percentile(ordered, 1.0),
        errors=dict(load.errors),
        tokens=[token.decode() for token in tokens if token],
        busy=(time.process_time() - cpu) / elapsed,
    )


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run(plan))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
