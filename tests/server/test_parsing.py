"""Bad input: refused with a reason, at the edge, whatever its shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rows import in_one
from tests.scenarios.api import BASE, PASSWORD, LocalApi, bearer, code_of
from watchword.server.parsing import BODY_MAX

JSON = {"Content-Type": "application/json"}
KEY = "k" * 16


async def post(api: LocalApi, path: str, body: Any, **headers: str) -> Any:
    given = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.client.post(BASE + path, content=body, headers=given)


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b"  ",
    "not JSON": b"hello",
    "half of it": b'{"username":"a"',
    "null": b"null",
    "a number": b"1",
    "a truth": b"true",
    "an array": b"[]",
    "a nested array": b'["a"]',
    "an empty object": b"{}",
    "a number as text": b'{"username":1,"password":2,"refreshToken":3}',
    "null as text": b'{"username":null,"password":null,"refreshToken":null}',
    "an object as text": b'{"username":{},"password":[],"refreshToken":{}}',
    "a name twice": b'{"username":"a","username":"b","password":"x",'
    b'"refreshToken":"a","refreshToken":"b"}',
    "a name twice, spelled otherwise": b'{"username":"a","user\\u006eame":"b",'
    b'"password":"x","refreshToken":"a","refresh\\u0054oken":"b"}',
    "an unknown name twice": b'{"username":"a","password":"b","refreshToken":"c",'
    b'"x":1,"x":2}',
    "NaN": b'{"username":"a","password":"b","refreshToken":"c","x":NaN}',
    "Infinity": b'{"username":"a","password":"b","refreshToken":"c","x":-Infinity}',
    "a BOM": b'\xef\xbb\xbf{"username":"a","password":"b","refreshToken":"c"}',
    "UTF-16": '{"username":"a","password":"b","refreshToken":"c"}'.encode("utf-16"),
    "broken UTF-8": b'{"username":"\xff","password":"b","refreshToken":"\xff"}',
    "overlong UTF-8": (
        b'{"username":"\xc0\x80","password":"","refreshToken":"\xc0\x80"}'
    ),
    "a lone surrogate": (
        b'{"username":"\\ud800","password":"","refreshToken":"\\udfff"}'
    ),
    "a control character": b'{"username":"\x00","password":"","refreshToken":"\x01"}',
    "two values": b'{"username":"a","password":"b","refreshToken":"c"}{}',
    "a comment": b'{"username":"a","password":"b","refreshToken":"c"}//',
    "a comma too many": b'{"username":"a","password":"b","refreshToken":"c",}',
    "single quotes": b"{'username':'a'}",
    "deep in something unknown": b'{"username":"a","password":"b","refreshToken":"c",'
    b'"x":' + b"[" * 30_000,
    "deep and closed": b'{"username":"a","password":"b","refreshToken":"c","x":'
    + b"[" * 15_000
    + b"]" * 15_000
    + b"}",
    "deep at once": b"[" * 30_000,
    "a number of 30000 digits": b'{"username":"a","password":"b","refreshToken":"c",'
    b'"x":' + b"9" * 30_000 + b"}",
}


@in_one("name", BODIES)
async def test_a_body_that_is_not_what_is_meant_is_invalid(
    api: LocalApi, name: str
) -> None:
    for path in ("/login", "/refresh", "/logout"):
        answer = await post(api, path, BODIES[name])
        assert (answer.status_code, code_of(answer)) == (400, "invalid_request"), path
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["login", "refresh", "logout"])
@pytest.mark.parametrize(
    "body",
    [b"x" * (BODY_MAX + 1), b"[" * 100_000, b" " * 10_000_000, b'"' + b"a" * 99_999],
    ids=["a byte too many", "100,000 deep", "10 MB", "a long string"],
)
async def test_a_body_beyond_the_bound_is_413_declared_or_not(
    api: LocalApi, name: str, body: bytes
) -> None:
    async def pieces() -> Any:
        for start in range(0, len(body), 8192):
            yield body[start : start + 8192]

    for content in (body, pieces()):
        answer = await post(api, f"/{name}", content)
        assert (answer.status_code, code_of(answer)) == (413, "payload_too_large")


@pytest.mark.parametrize("digits", [b"9" * 20, b"9" * 5000, b"99999"])
async def test_a_declared_length_is_believed_when_it_is_too_large(
    api: LocalApi, digits: bytes
) -> None:
    headers = JSON | {"Content-Length": digits.decode()}
    answer = await api.client.post(f"{BASE}/login", content=b"{}", headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "kind",
    [
        *(None, "", "text/plain", "application/x-www-form-urlencoded", "text/json"),
        *("multipart/form-data; boundary=x", "application/jsonp", "application/json5"),
        *("text/plain; application/json", "application/problem+json", "*/*", "json"),
        "application/x-www-form-urlencoded, application/json",
    ],
)
async def test_anything_but_json_is_415(api: LocalApi, kind: str | None) -> None:
    """A form or text/plain is what another site's page can send (CVE-2021-32677)."""
    headers = {} if kind is None else {"Content-Type": kind}
    tokens = await api.login()
    good = {"username": "alice", "password": PASSWORD, **tokens}
    for path in ("/login", "/refresh", "/logout"):
        answer = await api.client.post(
            BASE + path, content=json.dumps(good).encode(), headers=headers
        )
        wanted = (415, "unsupported_media_type")
        assert (answer.status_code, code_of(answer)) == wanted
    assert (await api.refresh(tokens["refreshToken"])).status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
async def test_json_may_be_declared_in_its_usual_spellings(
    api: LocalApi, kind: str
) -> None:
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    answer = await post(api, "/login", body, Content_Type=kind)
    assert answer.status_code == 200


@in_one(
    ("key", "status"),
    [
        *(
            (KEY, 200),
            (f'"{KEY}"', 200),
            ("k" * 128, 200),
            ('"' + "k" * 128 + '"', 200),
        ),
        *(
            ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", 200),
            ("8e03978e-40d5-43dd-bc93-6894", 200),
        ),
        *(("k" * 15, 400), ('"' + "k" * 15 + '"', 400), ("k" * 129, 400), ("", 400)),
        *(
            ('"' + "k" * 129 + '"', 400),
            ('""', 400),
            ('"', 400),
            ("a key with blanks!", 400),
        ),
        *(
            ('k"kkkkkkkkkkkkkkkkk', 400),
            ("k\\kkkkkkkkkkkkkkkkk", 400),
            (KEY + '"', 400),
        ),
        *(
            ('"' + KEY, 400),
            (f'""{KEY}""', 400),
            (f"{KEY}\t{KEY}", 400),
            (KEY + "é", 400),
        ),
        (f'"{KEY}";a=1', 400),
    ],
)
async def test_the_retry_key_has_a_shape(api: LocalApi, key: str, status: int) -> None:
    token = (await api.login())["refreshToken"]
    raw: Any = {
        "Content-Type": "application/json",
        "Idempotency-Key": key.encode("latin-1"),
    }
    body = json.dumps(token).encode()
    answer = await api.client.post(f"{BASE}/refresh", content=body, headers=raw)
    assert answer.status_code == status
    if status == 400:
        assert code_of(answer) == "invalid_request"
        assert (await api.refresh(token)).status_code == 200  # nothing was spent


async def test_quoted_and_bare_are_one_key(api: LocalApi) -> None:
    token = (await api.login())["refreshToken"]
    answers = [await api.refresh(token, key) for key in (KEY, f'"{KEY}"', KEY)]
    assert len({answer.json()["refreshToken"] for answer in answers}) == 1


@pytest.mark.parametrize("header", ["Idempotency-Key", "Content-Type", "Authorization"])
async def test_a_header_that_decides_may_come_once(api: LocalApi, header: str) -> None:
    """Two parties that read different ones would disagree on what was asked."""
    tokens = await api.login()
    values = {
        "Idempotency-Key": KEY,
        "Content-Type": "application/json",
        "Authorization": f"Bearer {tokens['accessToken']}",
    }
    twice = [*values.items(), (header, values[header])]
    content = json.dumps(tokens["refreshToken"]).encode()
    if header == "Authorization":
        answer = await api.client.get(f"{BASE}/secure", headers=twice)
    else:
        answer = await api.client.post(
            f"{BASE}/refresh", content=content, headers=twice
        )
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


@in_one(
    ("value", "code"),
    [
        *(
            ("", "token_missing"),
            ("Basic YTpi", "token_missing"),
            ("Bear", "token_missing"),
        ),
        *(("DPoP {}", "token_invalid"), ("Token {}", "token_missing")),
        *(("Bearer", "invalid_request"), ("Bearer ", "invalid_request")),
        *(("Bearer{}", "invalid_request"), ("Bearer\t{}", "invalid_request")),
        *(
            ("Bearer {} {}", "invalid_request"),
            ("Bearer {},Bearer {}", "invalid_request"),
        ),
        *(("Bearer {}, {}", "invalid_request"), ("Bearer {},", "token_invalid")),
        *(('Bearer "{}"', "token_invalid"), ("Bearer x{}", "token_invalid")),
        *(("Bearer {}é", "invalid_request"), ("Bearer {}=", "token_invalid")),
        *(("Bearer a", "token_invalid"), ("Bearer {}.", "token_invalid")),
        *(("Bearer {}", "ok"), ("bearer {}", "ok"), ("BEARER {}", "ok")),
        *(("Bearer    {}", "ok"), ("Bearer {}  ", "ok")),
    ],
)
async def test_the_authorization_header(api: LocalApi, value: str, code: str) -> None:
    access = (await api.login())["accessToken"]
    raw = value.replace("{}", access).encode("latin-1")
    headers: Any = {"Authorization": raw}
    answer = await api.client.get(f"{BASE}/secure", headers=headers)
    assert code_of(answer) == code
    if code == "token_missing":
        # Both schemes, no error, and where to find out who issues tokens.
        challenge = answer.headers["www-authenticate"]
        well_known = "https://auth.example/.well-known"
        metadata = f"{well_known}/oauth-protected-resource/api/auth"
        assert "error" not in challenge
        assert [part.split()[0] for part in challenge.split(", ")] == [
            "Bearer",
            f'resource_metadata="{metadata}"',
            "DPoP",
            'algs="ES256',
        ]


async def test_a_token_anywhere_but_in_the_header_is_none(api: LocalApi) -> None:
    """Not in the query, a form or a cookie (RFC 9700 §4.3.2)."""
    access = (await api.login())["accessToken"]
    for answer in (
        await api.client.get(f"{BASE}/secure?access_token={access}"),
        await api.client.get(f"{BASE}/secure", headers={"Cookie": f"token={access}"}),
        await api.client.request(
            "GET",
            f"{BASE}/secure",
            content=f"access_token={access}".encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ):
        assert code_of(answer) == "token_missing"


async def test_a_refresh_token_in_the_query_is_none(api: LocalApi) -> None:
    token = (await api.login())["refreshToken"]
    answer = await api.client.post(f"{BASE}/refresh?refreshToken={token}", headers=JSON)
    assert code_of(answer) == "invalid_request"
    assert (await api.refresh(token)).status_code == 200


async def test_a_method_override_overrides_nothing(api: LocalApi) -> None:
    tokens = await api.login()
    headers = bearer(tokens["accessToken"]) | {"X-HTTP-Method-Override": "DELETE"}
    answer = await api.client.get(f"{BASE}/sessions?_method=DELETE", headers=headers)
    assert answer.status_code == 200
    assert len(answer.json()["sessions"]) == 1
