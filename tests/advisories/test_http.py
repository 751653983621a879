"""Section 4 of the advisories: HTTP, logs, denial of service."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from tests.advisories.conftest import Serve
from tests.scenarios.api import BASE, PASSWORD, LocalApi, bearer, code_of
from tests.server.live import Answer, Live
from watchword.errors import SchemaError
from watchword.ports.audit import Trail
from watchword.stores import open_stores
from watchword.testing import SeededEntropy

LOGIN = (
    b"POST /api/auth/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n"
)
SECURE = b"GET /api/auth/secure HTTP/1.1\r\nHost: h\r\n"
NEXT = b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"2\r\n{}XX0\r\n\r\n", b"2\r\n{}\n0\r\n\r\n", b"2\n{}\r\n0\r\n\r\n"),
        *(
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b"+2\r\n{}\r\n0\r\n\r\n",
            b"2 \r\r{}\r\n0\r\n\r\n",
        ),
        *(b"2\r\n{}0\r\n\r\n", b"2;\x00\r\n{}\r\n0\r\n\r\n", b"\r\n\r\n"),
        b"10000000000000000\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_cve_2025_43859_a_bad_chunk_ends_the_connection(
    live: Live, chunks: bytes
) -> None:
    """What follows is not taken for a request of its own."""
    answer = live.talk(LOGIN + b"\r\n" + chunks + NEXT)
    assert 400 <= Answer(answer).status < 500
    assert b"ready" not in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
    ],
)
def test_cve_2025_43859_two_framings_are_none(live: Live, framing: bytes) -> None:
    answer = live.talk(LOGIN + framing + b"\r\n2\r\n{}\r\n0\r\n\r\n" + NEXT)
    assert Answer(answer).status == 400
    assert b"ready" not in answer


def test_cve_2026_42544_bytes_beyond_ascii_in_headers(live: Live) -> None:
    pid = live.pid
    names = (b"Authorization", b"Cookie", b"Upgrade", b"Sec-WebSocket-Key", b"Origin")
    for name in names:
        for number in range(0x80, 0x100):
            value = bytes([number]) * 3
            extra = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" * (
                name[:3] == b"Sec"
            )
            line = extra + name + b": " + value + b"\r\n\r\n"
            assert Answer(live.talk(SECURE + line)).status in {400, 401}
    assert live.process.poll() is None
    assert live.pid == pid


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example/x?", "a@b", "[::1]:99999", "", "h\t", "ü", "*"],
)
async def test_cve_2026_48710_host_is_not_believed(api: LocalApi, host: str) -> None:
    headers: Any = {"Host": host.encode("latin-1")}
    body = {"username": "alice", "password": PASSWORD}
    answer = await api.client.post(f"{BASE}/login", json=body, headers=headers)
    claims = api.engine.checker.verify(answer.json()["accessToken"])
    assert claims.iss == "https://auth.example"
    for path in (f"{BASE}/secure/", "/docs/", "//evil.example/", "/openapi.json"):
        answer = await api.client.get(f"https://auth.example{path}", headers=headers)
        assert "location" not in answer.headers
        assert "evil" not in answer.text


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/.well-known/jwks.json"])
async def test_cve_2025_62727_range_is_ignored(api: LocalApi, path: str) -> None:
    whole = await api.client.get(path)
    ranges = "bytes=" + ",".join(f"{n}-{n + 1}" for n in range(5000))
    began = time.process_time()
    answer = await api.client.get(path, headers={"Range": ranges})
    assert time.process_time() - began < 2
    assert answer.status_code == 200
    assert answer.content == whole.content


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 413),
        (b'{"a":' * 20_000, 413),
        (b"[" * 32_000, 400),
        (b'{"username":' * 2_700, 400),
        (b" " * 10_000_000, 413),
        (b'{"username":"a","username":"b","password":"c"}', 400),
        (b'{"username":"a","password":"b","x":%s}' % (b"9" * 30_000), 400),
        (b'{"username":"a","password":%s}' % (b"1" * 400), 400),
    ],
    ids=lambda value: f"{value[:12]!r}" if isinstance(value, bytes) else str(value),
)
async def test_cve_2024_27454_json_that_is_deep_large_or_double(
    api: LocalApi, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("login", "refresh", "logout"):
        began = time.process_time()
        answer = await api.client.post(f"{BASE}/{path}", content=body, headers=headers)
        assert answer.status_code == status
        assert time.process_time() - began < 2


async def test_next_auth_xmf8_a_malformed_authorization_is_never_5xx(
    api: LocalApi,
) -> None:
    draw = random.Random(8)
    access = (await api.login())["accessToken"].encode()
    for _ in range(1500):
        made = bytearray(
            draw.choice((b"Bearer " + access, b"Bearer", b"bearer\t", b""))
        )
        for _ in range(draw.randrange(1, 6)):
            at = draw.randrange(len(made) + 1)
            made[at : at + draw.randrange(2)] = draw.randbytes(draw.randrange(4))
        headers: Any = {"Authorization": bytes(made)}
        answer = await api.client.get(f"{BASE}/secure", headers=headers)
        # Blanks at the end change nothing.
        good = bytes(made).strip() == b"Bearer " + access
        allowed = {"token_missing", "token_invalid", "invalid_request"}
        assert code_of(answer) in ({"ok"} if good else allowed)


@pytest.mark.parametrize(
    "stored",
    ["", "x", "$argon2id$v=19$m=8", "$2b$12$short", "$argon2id$" + "A" * 90, "\0"],
)
async def test_rustsec_2026_0199_a_corrupt_hash_is_that_users_alone(
    api: LocalApi, stored: str
) -> None:
    bob = await api.engine.accounts.register("bob", PASSWORD)
    broken = msgspec.structs.replace(bob, password_hash=stored, version=bob.version + 1)
    assert await api.engine.stores.accounts.swap(bob, broken, Trail())
    answer = await api.try_login("bob", PASSWORD)
    assert code_of(answer) == "invalid_credentials"
    assert (await api.try_login("alice", PASSWORD)).status_code == 200


def test_rustsec_2026_0258_http_2_is_not_spoken(live: Live) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    assert Answer(live.talk(preface)).status == 400
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    answer = live.talk(SECURE + upgrade + b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
    assert Answer(answer).status == 401


FORGED = "a\r\n2026-01-01T00:00:00Z INFO all is well\x1b[2J\u2028x"


async def test_cve_2020_7694_nobody_writes_lines_of_the_log(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the name, the path, the agent: what was sent is escaped, or not there."""
    async with serve() as api:
        capsys.readouterr()
        await api.try_login(FORGED, PASSWORD)
        await api.try_login("alice", FORGED)
        access = (await api.login())["accessToken"]
        headers = bearer(access) | {"User-Agent": "a\tINFO"}
        paths = (
            "/%0d%0aINFO%20all%1b%5b2J",
            "/\u2028x",
            "/%7f%80%ff",
            "/a b",
            "/" + "x" * 9999,
        )
        for path in paths:
            await api.client.get(path, headers=headers)
    lines = capsys.readouterr().err.split("\n")
    assert len(lines) == 3 + len(paths) + 1
    for line in lines:
        assert line.isascii()
        assert not line or line.isprintable()
        assert len(line) < 1200
        assert "INFO all" not in line


async def test_cve_2024_51752_no_secret_in_any_log(
    serve: Serve, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A whole life, with every mistake that people make; the canary looks too."""
    async with serve("sqlite") as api:
        key = "a-retry-key-that-nobody-may-see"
        one = await api.login()
        two = (await api.refresh(one["refreshToken"], key)).json()
        await api.refresh(one["refreshToken"], key)
        await api.try_login(PASSWORD, "alice")  # in the wrong field
        await api.try_login("alice", PASSWORD + " ")
        access, token = two["accessToken"], two["refreshToken"]
        for path in (f"/x?token={token}", f"/{token}", f"/{access}", f"/a/{access}/b"):
            await api.client.get(path, headers=bearer(access))
        await api.client.delete(f"{BASE}/sessions/{token}", headers=bearer(access))
        await api.secure(access[:-2])
        await api.refresh(one["refreshToken"])
        await api.logout(token)
        events = await api.engine.stores.audit.read(0, 1000)
    logged = capsys.readouterr().err + caplog.text.replace("HTTP Request", "")
    ours = "\n".join(
        line for line in logged.splitlines() if "httpx2" not in line and line != "http"
    )
    signature = access.split(".")[2]
    for secret in (PASSWORD, key, token, one["refreshToken"], access, signature):
        assert secret not in ours
        assert secret not in repr(events)
    assert len(events) > 4


async def test_cve_2024_41657_no_other_origin_may_read(api: LocalApi) -> None:
    tokens = await api.login()
    for origin in ("https://evil.example", "null", "https://auth.example.evil.example"):
        headers = bearer(tokens["accessToken"]) | {"Origin": origin}
        preflight = headers | {"Access-Control-Request-Method": "POST"}
        for path in ("secure", "me", "sessions"):
            answer = await api.client.get(f"{BASE}/{path}", headers=headers)
            assert "access-control-allow-origin" not in answer.headers
        answer = await api.client.options(f"{BASE}/login", headers=preflight)
        assert answer.status_code == 405
        assert not [
            name for name in answer.headers if name.startswith("access-control")
        ]
    # Public keys are for every page, and come without credentials.
    keys = await api.client.get("/.well-known/jwks.json", headers={"Origin": "null"})
    assert keys.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in keys.headers


@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", None])
async def test_cve_2021_32677_json_as_text_plain(
    api: LocalApi, kind: str | None
) -> None:
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    headers = {} if kind is None else {"Content-Type": kind}
    answer = await api.client.post(f"{BASE}/login", content=body, headers=headers)
    assert code_of(answer) == "unsupported_media_type"


async def test_cve_2025_68481_no_cookie_has_authority(api: LocalApi) -> None:
    tokens = await api.login()
    jar = "; ".join(
        f"{name}={value}"
        for name in ("session", "token", "access_token", "refreshToken", "__Host-ww")
        for value in (tokens["accessToken"], tokens["refreshToken"])
    )
    for method, path in (("GET", "secure"), ("POST", "logout-all"), ("GET", "me")):
        answer = await api.client.request(
            method, f"{BASE}/{path}", headers={"Cookie": jar}
        )
        assert code_of(answer) == "token_missing"
        assert "set-cookie" not in answer.headers
    for path in ("refresh", "logout"):
        headers = {"Cookie": jar, "Content-Type": "application/json"}
        answer = await api.client.post(f"{BASE}/{path}", headers=headers)
        assert code_of(answer) == "invalid_request"
    assert (await api.refresh(tokens["refreshToken"])).status_code == 200


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.7.0"])
async def test_sqlite_wal_reset_an_affected_version_is_refused(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    with pytest.raises(SchemaError, match=version):
        await open_stores(f"sqlite:///{tmp_path}/w.db", SeededEntropy())
