"""Bad input by the hundred thousand: never a 5xx, and every refusal has its code.

schemathesis draws requests from the document that the server gives of itself; the
fuzzer below mutates requests that are good. Both are seeded: a failure comes back.
"""

from __future__ import annotations

import json
import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.live import PASSWORD, Live
from watchword.core import one_time_token
from watchword.core.limits import ONE_TIME_BYTES
from watchword.core.one_time_token import TokenPurpose

SEED = int(os.environ.get("FUZZ_SEED", "20270115"))
MANY = int(os.environ.get("FUZZ_REQUESTS", "100000"))
ONE_TIME = one_time_token.mint(TokenPurpose.RESET, bytes(ONE_TIME_BYTES))
# As long as one of ours, and sealed by another server.
TICKET = b"ww_ct_" + b"A" * 200
PIPELINE = 24
RESIDENT_MAX_KIB = 160 * 1024
GROWTH_MAX_KIB = 48 * 1024
CONTROLS = bytes([*range(0x20), 0x7F])

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def serving(data: Path) -> Live:
    """From a host that passkeys may be bound to."""
    return Live(
        data,
        WATCHWORD_REGISTRATION="open",
        WATCHWORD_ISSUER="http://localhost:8000",
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("fuzz") / "data"
    with serving(data) as server:
        pid = server.pid
        yield server
        assert (server.process.poll(), server.pid) == (None, pid)
        assert "Traceback" not in server.printed()


@pytest.fixture(scope="module")
def access(live: Live) -> str:
    """Drawn before anything is fuzzed: failed sign-ins throttle this address."""
    return str(live.login()["accessToken"])


@pytest.fixture(scope="module")
def document(live: Live) -> Any:
    return schemathesis.openapi.from_url(f"{live.url}/openapi.json")


# What every operation answers without a token is in tests/surfaces, too.
@pytest.mark.parametrize(
    ("signed_in", "most"),
    [
        (True, 5),
        pytest.param(True, 30, marks=pytest.mark.slow),
        pytest.param(False, 30, marks=pytest.mark.slow),
    ],
)
def test_every_operation_answers_as_its_document_says(
    live: Live, document: Any, access: str, *, signed_in: bool, most: int
) -> None:
    headers = {"Authorization": f"Bearer {access}"} if signed_in else {}
    seen = 0
    for result in document.get_all_operations():
        operation = result.ok()
        # It would end the session that the others are asked with.
        examples = 4 if operation.path.endswith("/login") else most
        if "account" in (operation.tags or ()):
            examples = 10  # each network has few of most of them
        elif "admin" in (operation.tags or ()):
            examples = most // 2
        ends = ("/logout", "/logout-all", "/end-before")
        if signed_in and operation.path.endswith(ends):
            continue

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def one(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers=headers)

        one()
        seen += 1
    assert seen >= 20


class Answers:
    """Answers to pipelined requests, in order, from one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def next(self, *, head_only: bool) -> tuple[int, bytes, bytes] | None:
        """Status, head and body; None when the server has closed."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        head = self._received[: end + 4].lower()
        status = int(head[9:12])
        size = 0
        if not head_only and status not in {204, 304}:
            at = head.find(b"content-length:")
            size = int(head[at + 15 : head.index(b"\r\n", at)]) if at > 0 else 0
        while len(self._received) < end + 4 + size:
            if not self._more():
                return None
        body = self._received[end + 4 : end + 4 + size]
        self._received = self._received[end + 4 + size :]
        return status, head, body

    def _more(self) -> bool:
        try:
            more = self._connection.recv(1 << 18)
        except ConnectionResetError:
            return False
        self._received += more
        return bool(more)


class Fuzzer:
    """Makes requests out of good ones."""

    PATHS = (
        *("login", "refresh", "logout", "logout-all", "secure", "me", "sessions"),
        *("sessions/00000000-0000-7000-8000-000000000000", "", "x"),
        *("account", "step-up", "register", "register/resend", "register/confirm"),
        *("password/forgot", "password/reset", "password/change", "email/change"),
        *("email/confirm", "email/revert", "invitations/accept"),
        *("login/continue", "login/passkey", "login/passkey/options", "login/enrol"),
        *("login/enrol/totp", "login/enrol/totp/confirm", "login/enrol/passkey"),
        *("login/enrol/passkey/options", "factors", "factors/totp"),
        *("factors/totp/confirm", "factors/passkeys", "factors/passkeys/options"),
        *("factors/recovery-codes", "factors/00000000-0000-7000-8000-000000000000"),
    )
    GETS = tuple(
        f"/api/auth/{path}".encode()
        for path in ("secure", "me", "sessions", "account", "x")
    )
    ROOTS = ("/healthz", "/readyz", "/.well-known/jwks.json", "/openapi.json", "/docs")
    METHODS = (
        b"GET",
        b"POST",
        b"PUT",
        b"DELETE",
        b"PATCH",
        b"OPTIONS",
        b"HEAD",
        b"TRACE",
    )
    TYPES = (
        b"text/plain",
        b"",
        b"application/json; x",
        b"multipart/form-data",
        b"\xff",
    )
    VALUES = (
        *(b"null", b"true", b"1e999", b"NaN", b"[]", b"{}", b'""', b'"\\ud800"', b"-0"),
        *(b'"\\u0000"', b"[" * 2000, b'{"a":' * 500, b"9" * 5000, b'"' + b"a" * 5000),
    )

    def __init__(self, seed: int, token_sets: list[Any]) -> None:
        self.random = random.Random(seed)
        self.access = [tokens["accessToken"].encode() for tokens in token_sets]
        self.refresh = [tokens["refreshToken"].encode() for tokens in token_sets]
        self.sids = [tokens["sessionId"].encode() for tokens in token_sets]

    def mutated(self, good: bytes) -> bytes:
        """A few bytes changed, dropped, doubled or put in."""
        draw = self.random
        made = bytearray(good)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
            at = draw.randrange(len(made) + 1)
            kind = draw.randrange(6)
            if kind == 0 and at < len(made):
                made[at] = draw.randrange(256)
            elif kind == 1:
                made[at:at] = bytes([draw.randrange(256)])
            elif kind == 2:
                del made[at : at + draw.choice((1, 1, 4, 40))]
            elif kind == 3:
                made[at:at] = made[at : at + draw.choice((1, 8, 80))]
            elif kind == 4 and at < len(made):
                made[at] ^= 1 << draw.randrange(8)
            else:
                made[at:at] = draw.choice(
                    (b".", b"..", b"=", b"\\", b'"', b"%", b"\xc3")
                )
        return bytes(made)

    def body(self) -> bytes:
        draw = self.random
        token = draw.choice(self.refresh)
        good = draw.choice(
            (
                b'{"refreshToken":"%s"}' % token,
                b'"%s"' % token,
                b'{"username":"admin","password":"%s"}' % PASSWORD.encode(),
                b'{"email":"ann@example.org","password":"%s"}' % PASSWORD.encode(),
                b'{"token":"%s","registration":"ww_rg_x"}' % ONE_TIME.encode(),
                b'{"token":"%s","password":"%s"}' % (ONE_TIME.encode(), b"x" * 20),
                b'{"refreshToken":"%s","method":"password","password":"x"}' % token,
                b'{"refreshToken":"%s","method":"totp","code":"123456"}' % token,
                b'{"continuation":"%s","method":"totp","code":"1"}' % TICKET,
                b'{"continuation":"%s","token":"x","factor":"x","code":"1"}' % TICKET,
                b'{"challenge":"%s","credential":{"id":"AA","rawId":"AA",'
                b'"type":"public-key","response":{"clientDataJSON":"e30"}},'
                b'"continuation":"%s","method":"passkey"}' % (TICKET, TICKET),
            )
        )
        kind = draw.randrange(5)
        if kind == 0:
            name = draw.choice((b"refreshToken", b"username", b"email", b"token"))
            return b'{"%s":%s}' % (name, draw.choice(self.VALUES))
        if kind == 1:
            return draw.choice(self.VALUES)
        if kind == 2:
            return draw.randbytes(draw.randrange(200))
        return self.mutated(good)

    def header(self) -> bytes:
        """A value that fits on one line: what breaks the head is sent alone."""
        draw = self.random
        token = draw.choice(self.access)
        value = draw.choice(
            (b"Bearer " + token, b"bearer  " + token, token, b"Basic x")
        )
        if draw.random() < 0.8:
            value = self.mutated(value)
        return value.translate(None, CONTROLS)

    def path(self) -> bytes:
        draw = self.random
        known = f"/api/auth/{draw.choice(self.PATHS)}".encode()
        if draw.random() < 0.1:
            known = draw.choice(self.ROOTS).encode()
        if draw.random() < 0.15:
            known = b"/api/auth/sessions/" + self.mutated(draw.choice(self.sids))
        elif draw.random() < 0.1:
            known = b"/" + self.mutated(known[1:])
        if draw.random() < 0.05:
            known += b"?" + self.mutated(b"token=" + draw.choice(self.refresh))
        bad = bytes(c for c in range(256) if c <= 0x20 or c >= 0x7F) + b"#"
        return known.translate(None, bad)

    def request(self) -> tuple[bytes, bool]:
        """A request whose frame is whole, and whether its answer has no body."""
        draw = self.random
        path, method = self.path(), draw.choice(self.METHODS)
        if draw.random() < 0.7:
            is_call = path.startswith(b"/api/auth/")
            posts = is_call and not path.startswith(self.GETS)
            method = b"POST" if posts else b"GET"
        lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: localhost"]
        if draw.random() < 0.6:
            lines.append(b"Authorization: " + self.header())
        if draw.random() < 0.02:
            lines.append(b"Authorization: " + self.header())
        if draw.random() < 0.3:
            key = self.mutated(b'"a-retry-key-of-the-fuzzer"')
            lines.append(b"Idempotency-Key: " + key.translate(None, CONTROLS))
        body = b"" if draw.random() < 0.3 else self.body()
        if draw.random() < 0.9:
            lines.append(b"Content-Type: application/json")
        else:
            lines.append(b"Content-Type: " + draw.choice(self.TYPES))
        lines.append(b"Content-Length: %d" % len(body))
        if draw.random() < 0.05:
            lines.append(
                draw.choice((b"Cookie: a=b", b"Range: bytes=0-", b"X: \xff\x80"))
            )
        return b"\r\n".join(lines) + b"\r\n\r\n" + body, method == b"HEAD"

    def broken(self) -> bytes:
        """A request whose frame may be broken too."""
        return self.mutated(self.request()[0])


def check(
    answer: tuple[int, bytes, bytes], requested: bytes, *, head_only: bool
) -> int:
    status, head, body = answer
    assert status < 500, (requested, head, body)
    if status >= 400:
        assert b"content-type: application/problem+json" in head, (requested, head)
        if not head_only:
            problem = json.loads(body)
            assert problem["status"] == status
            assert problem["code"], requested
    return status


def send_all(
    live: Live, requested: list[tuple[bytes, bool]], seen: Counter[int]
) -> None:
    """Pipelined; where the server closes on one of them, the rest go one by one."""
    with live.connect() as connection:
        connection.sendall(b"".join(one for one, _ in requested))
        answers = Answers(connection)
        for count, (one, head_only) in enumerate(requested):
            answer = answers.next(head_only=head_only)
            if answer is None:
                rest = requested[count:]
                break
            seen[check(answer, one, head_only=head_only)] += 1
            if b"connection: close" in answer[1]:
                rest = requested[count + 1 :]
                break
        else:
            return
    for one, _ in rest:
        send_alone(live, one, seen)


def send_alone(live: Live, one: bytes, seen: Counter[int]) -> None:
    """Alone, and no more to come: whatever is answered is looked at."""
    with live.connect() as connection:
        connection.sendall(one)
        connection.shutdown(socket.SHUT_WR)
        answer = Answers(connection).next(head_only=one.startswith(b"HEAD"))
    if answer is None:
        seen[0] += 1
    else:
        seen[check(answer, one, head_only=one.startswith(b"HEAD"))] += 1


@pytest.mark.parametrize("wanted", [8_000, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.timeout(1800)
def test_mutated_requests_are_answered(tmp_path: Path, wanted: int) -> None:
    """No 5xx, every refusal a problem with its code, the process as it was."""
    with serving(tmp_path / "data") as live:
        pid = live.pid
        fuzzer = Fuzzer(SEED, [live.login() for _ in range(40)])
        seen: Counter[int] = Counter()
        for _ in range(200):
            send_alone(live, fuzzer.broken(), seen)
        before = live.resident_kib()
        for _ in range(wanted // 50):
            send_alone(live, fuzzer.broken(), seen)
        while seen.total() < wanted:
            send_all(live, [fuzzer.request() for _ in range(PIPELINE)], seen)
        assert (live.process.poll(), live.pid) == (None, pid)
        after = live.resident_kib()
        assert after < RESIDENT_MAX_KIB
        assert after - before < GROWTH_MAX_KIB
        assert live.call("GET", "/readyz").status == 200
        # It was not refused all at one door.
        assert {200, 400, 401, 404, 405, 415} <= set(seen), seen
        assert seen[401] > wanted // 20, seen
        assert seen[400] > wanted // 20, seen
        assert seen[0] < wanted // 50, seen
        assert "Traceback" not in live.printed()
        for token in fuzzer.access + fuzzer.refresh:
            assert token.decode() not in live.printed()
