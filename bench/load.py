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
from urllib.parse import quote

import msgspec
import uvloop

from bench.proofs import Prover

CONTENT_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
REFRESH_TOKEN: Final = re.compile(rb'"refresh(?:T|_t)oken": ?"([^"]+)"')
PROBLEM_CODE: Final = re.compile(rb'"(?:code|error)": ?"(\w+)"')
NONCE: Final = re.compile(rb"(?i)\r\ndpop-nonce: *([!-~]+)")
NONCE_NEEDED: Final = b"use_dpop_nonce"
JSON: Final = b"application/json"
FORM: Final = b"application/x-www-form-urlencoded"
PATHS: Final[dict[Kind, str]] = {
    "login": "/api/auth/login",
    "refresh": "/api/auth/refresh",
    "secure": "/api/auth/secure",
    "oauth-refresh": "/oauth/token",
    "introspect": "/oauth/introspect",
    "exchange": "/oauth/token",
}
# Of the codes that `exchanging` makes.
REDIRECT: Final = "https://app.example/back"
VERIFIER: Final = "v" * 43
_EXCHANGE: Final = (
    "grant_type=authorization_code&client_id=bench&redirect_uri="
    f"{quote(REDIRECT, safe='')}&code_verifier={VERIFIER}&code="
).encode()
RESEND_AFTER: Final = 0.01
# More than a server answers; where it is not enough, the rest is made on the way.
PROOFS_PER_SECOND: Final = 4000
# As long as a browser's: a session remembers it, so it counts in the bytes per session.
USER_AGENT: Final = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/140.0.0.0 Safari/537.36"
)

Kind = Literal["refresh", "secure", "login", "oauth-refresh", "introspect", "exchange"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send.

    Tokens are spread over the connections; `login` needs none, or an empty one for each
    session to be made. With `per_token`, that many answers are fetched for each token
    (for `login`: for each connection), however long it takes; without, the clock
    decides. With `proofs`, requests prove the key of their token's number, by a nonce
    of the server's: `nonce` is the last one known. `basic` is a client's credentials.
    The tokens of `exchange` are codes. A connection waits `pause` seconds before each
    request but its first.
    """

    kind: Kind
    port: int
    tokens: list[str] = []
    connections: int = 32
    seconds: float = 3.0
    warmup: float = 0.5
    per_token: int = 0
    retry_key: bool = True
    username: str = ""
    password: str = ""
    proofs: bool = False
    nonce: str = ""
    basic: str = ""
    pause: float = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; `total` with the warm-up. Latencies in ms.

    `busy` is the generator's own share of its core; `tokens` and `nonce` are the ones
    to go on with: the current refresh tokens.
    """

    answers: int
    total: int
    rate: float
    p50: float
    p90: float
    p99: float
    max: float
    errors: dict[str, int]
    tokens: list[str]
    busy: float
    nonce: str = ""


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of sorted seconds, in ms; 0 where there are none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000


class Requests:
    """The bytes of each request of a plan, prepared as far as possible."""

    def __init__(self, plan: Plan, count: int) -> None:
        self.plan = plan
        verb = "GET" if plan.kind == "secure" else "POST"
        path = PATHS[plan.kind]
        self.head = (
            f"{verb} {path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n".encode()
        )
        self.head += b"User-Agent: %s\r\n" % USER_AGENT
        if verb == "POST":
            kind = FORM if path.startswith("/oauth/") else JSON
            self.head += b"Content-Type: %s\r\n" % kind
        if plan.basic:
            self.head += b"Authorization: Basic %s\r\n" % plan.basic.encode()
        body = {"username": plan.username, "password": plan.password}
        self.credentials = msgspec.json.encode(body)
        self.nonce = plan.nonce.encode()
        url = f"http://127.0.0.1:{plan.port}{path}"
        keys = range(count if plan.proofs else 0)
        self.provers = [Prover(number, verb, url) for number in keys]
        # One generator stands for many clients: if it signed as it sends, its requests
        # would come one by one, and the server's batches would be smaller for it.
        if plan.nonce and not plan.per_token:
            expected = (plan.warmup + plan.seconds) * PROOFS_PER_SECOND
            for prover in self.provers:
                prover.stock_up(self.nonce, math.ceil(expected / count))

    def make(self, index: int, token: bytes, retry_key: bytes) -> bytes:
        """The request for the token of that number; each time with a new proof."""
        headers = b""
        if retry_key:
            headers = b"Idempotency-Key: %s\r\n" % retry_key
        if self.provers:
            headers += b"DPoP: %s\r\n" % self.provers[index].prove(self.nonce)
        if self.plan.kind == "secure":
            parts = (self.head, headers, b"Authorization: Bearer ", token, b"\r\n\r\n")
            return b"".join(parts)
        body = self._body(token)
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        return b"".join((self.head, headers, length, body))

    def _body(self, token: bytes) -> bytes:
        match self.plan.kind:
            case "login":
                return self.credentials
            case "oauth-refresh":
                return (
                    b"grant_type=refresh_token&client_id=first-party&refresh_token=%s"
                    % token
                )
            case "introspect":
                return b"token=%s" % token
            case "exchange":
                return _EXCHANGE + token
            case _:
                return b'{"refreshToken":"%s"}' % token


class Load:
    """What the connections share: the tokens, the clock and the tally."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tokens = [token.encode() for token in plan.tokens]
        # A key goes with a token's number: then each answer has its own place.
        self.follow = plan.kind != "login" or plan.proofs
        with_key = {"refresh", "oauth-refresh", "exchange"}
        self.takes_key = plan.retry_key and plan.kind in with_key
        if plan.kind == "login" and not plan.tokens:
            self.tokens = [b""] * plan.connections
        self.requests = Requests(plan, len(self.tokens))
        self.signed_in: list[bytes] = []
        self.latencies = array("d")
        self.total = 0
        self.errors: Counter[str] = Counter()
        self.open = 0
        self.finished = asyncio.Event()
        self.started = now = time.perf_counter()
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
        self.waiting = False
        self.retry_key = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by duck typing only.
        self.transport = cast("asyncio.Transport", transport)
        self.load.open += 1
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.waiting:
            self.load.errors["connection lost"] += 1
        self.load.closed()

    def send(self) -> None:
        now = time.perf_counter()
        if now >= self.load.until or not self.turns:
            self.waiting = False
            self.transport.close()
            return
        self.waiting = True
        if self.load.takes_key:
            self.retry_key = os.urandom(16).hex().encode()
        self.sent = now
        self.write()

    def write(self) -> None:
        """The request, or the same once more: with the same retry key."""
        if not self.transport.is_closing():
            index = self.turns[0][0]
            token = self.load.tokens[index]
            request = self.load.requests.make(index, token, self.retry_key)
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        end = data.find(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            self.buffer = data
            return
        self.buffer = b""
        requests = self.load.requests
        if requests.provers and (nonce := NONCE.search(data, 0, end)):
            requests.nonce = nonce[1]
        if data[9:12] == b"200":
            self.accepted(data)
        else:
            self.refused(data)

    def accepted(self, answer: bytes) -> None:
        load = self.load
        now = time.perf_counter()
        load.total += 1
        if load.measure_from <= now <= load.until:
            load.latencies.append(now - self.sent)
        index, left = self.turns.popleft()
        if found := REFRESH_TOKEN.search(answer):
            if load.follow:
                load.tokens[index] = found[1]
            else:
                load.signed_in.append(found[1])
        if left != 1:
            self.turns.append((index, left - 1))
        if load.plan.pause:
            self.waiting = False
            asyncio.get_running_loop().call_later(load.plan.pause, self.send)
            return
        self.send()

    def refused(self, answer: bytes) -> None:
        status = answer[9:12].decode()
        code = PROBLEM_CODE.search(answer)
        self.load.errors[f"{status} {code[1].decode() if code else ''}".strip()] += 1
        if status in {"429", "503"} or (code and code[1] == NONCE_NEEDED):
            asyncio.get_running_loop().call_later(RESEND_AFTER, self.write)
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
    started, cpu = load.started, time.process_time()
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
    tokens = load.tokens if load.follow else load.signed_in
    return Report(
        answers=len(ordered),
        total=load.total,
        rate=len(ordered) / measured,
        p50=percentile(ordered, 0.5),
        p90=percentile(ordered, 0.9),
        p99=percentile(ordered, 0.99),
        max=percentile(ordered, 1.0),
        errors=dict(load.errors),
        tokens=[token.decode() for token in tokens if token],
        busy=(time.process_time() - cpu) / elapsed,
        nonce=load.requests.nonce.decode(),
    )


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run(plan))
    # With PYTHONUNBUFFERED, sys.stdout.buffer is none, and may write but a part.
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
