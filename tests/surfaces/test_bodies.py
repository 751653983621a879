"""Bodies that are not what an endpoint takes, around a token that is good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from tests.scenarios.api import BASE, PASSWORD
from tests.surfaces.answers import Answer
from tests.surfaces.stage import FIRST, FORM, OAUTH, SECURE, Holder, Pair, Stage

_WRONG: Final = "400 invalid_request"
_GOOD: Final = ("Content-Type", FORM)
_JSON: Final = ("Content-Type", "application/json")
_PROOF: Final = {"username": "alice", "password": PASSWORD}
_TOKEN: Final = {"token": "ww_cf_of-no-mail", "password": PASSWORD}
# What each call takes, beside the refresh token of the victim, and how it answers that.
NATIVE: Final[dict[str, tuple[dict[str, str], int]]] = {
    "login": (_PROOF, 200),
    "refresh": ({}, 200),
    "logout": ({}, 200),
    "step-up": ({"method": "password", "password": PASSWORD}, 200),
    "password/change": (
        {"currentPassword": PASSWORD, "password": "five other words make one"},
        200,
    ),
    "register": ({"email": "ann@example.org", "password": PASSWORD}, 202),
    "register/resend": ({"registration": "ww_rg_of-no-registration"}, 202),
    "register/confirm": (_TOKEN, 400),
    "invitations/accept": (_TOKEN, 400),
    "password/forgot": ({"email": "ann@example.org"}, 202),
    "password/reset": (_TOKEN, 400),
    "email/change": ({"email": "ann@example.org"}, 202),
    "email/confirm": (_TOKEN, 400),
    "email/revert": (_TOKEN, 400),
}

OTHER_TYPES: Final = (
    *(None, "", "text/plain", "text/html", "multipart/form-data; boundary=x", "*/*"),
    *("application/octet-stream", "application/xml", "application", "json", "/"),
    *("application/json-patch+json", "application/problem+json", "application/jsonp"),
    *("application/jwt", "text/json", "application/json, text/plain", "\u00e9"),
    f"{FORM}x",
    f"text/{FORM}",
    f"{FORM},{FORM}",
)


def grants(stage: Stage, victim: Holder, path: str) -> dict[str, str]:
    """What a good request to there says."""
    name = "refresh_token" if path == "/oauth/token" else "token"
    asked = {"grant_type": "refresh_token", name: victim.refresh}
    secret = stage.secret("shop")
    return asked | {"client_id": "shop", "client_secret": secret}


def _encoded(fields: dict[str, str]) -> bytes:
    return "&".join(f"{name}={value}" for name, value in fields.items()).encode()


def _broken_forms(good: bytes, fields: dict[str, str]) -> dict[str, bytes]:
    return {
        "empty": b"",
        "ampersands": b"&" * 40,
        "an equals sign": b"=",
        "names alone": b"&".join(name.encode() for name in fields),
        "empty values": b"&".join(name.encode() + b"=" for name in fields),
        "semicolons": good.replace(b"&", b";").replace(b"grant_type", b"x"),
        "65 fields": good + b"".join(b"&f%d=1" % n for n in range(61)),
        "2000 fields": good + b"&a=1" * 2000,
        "not UTF-8, escaped": good + b"&x=%ff%fe",
        "an overlong escape": good + b"&x=%c0%80",
        "a surrogate, escaped": good + b"&x=%ed%a0%80",
        "not UTF-8": good + b"&x=\xff",
        "not ASCII": good + "&x=é".encode(),
        "in UTF-16": good.decode().encode("utf-16"),
        "with a BOM": b"\xef\xbb\xbf" + good,
        "compressed": b"\x1f\x8b\x08\0\0\0\0\0\0\3",
        "multipart": b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n',
        "in brackets": b"&".join(f"{n}[]={v}".encode() for n, v in fields.items()),
        "in capitals": good.upper(),
    }


def bad_forms(
    fields: dict[str, str],
) -> Iterator[tuple[str, Sequence[Pair], bytes, tuple[str, ...]]]:
    """Name, headers, body, and what may be answered."""
    good = _encoded(fields)
    for name, value in fields.items():
        twice = f"&{name}={value}".encode()
        yield f"{name} twice", [_GOOD], good + twice, (_WRONG,)
        yield f"{name} twice, differing", [_GOOD], good + twice + b"x", (_WRONG,)
        escaped = f"&%{ord(name[0]):02x}{name[1:]}=x".encode()
        yield f"{name} twice, one escaped", [_GOOD], good + escaped, (_WRONG,)
    for kind in OTHER_TYPES:
        headers = [] if kind is None else [("Content-Type", kind)]
        yield f"Content-Type {kind}", headers, good, (_WRONG,)
    text = json.dumps(fields).encode()
    yield "JSON", [_JSON], text, (_WRONG,)
    yield "JSON as a form", [_GOOD], text, (_WRONG,)
    yield "a form as JSON", [_JSON], good, (_WRONG,)
    yield "two content types", [_GOOD, _JSON], good, (_WRONG,)
    yield "a content type twice", [_GOOD, _GOOD], good, (_WRONG,)
    for name, body in _broken_forms(good, fields).items():
        yield f"a body {name}", [_GOOD], body, (_WRONG,)
    yield "33 KiB", [_GOOD], good + b"&x=" + b"A" * 33_000, ("413 invalid_request",)
    long = ("Content-Length", "99999999")
    yield "said to be long", [_GOOD, long], good, ("413 invalid_request",)
    long = ("Content-Length", "9" * 5000)
    yield "said to be endless", [_GOOD, long], good, ("413 invalid_request",)
    some = ("Content-Length", str(len(good)))
    yield "its length said twice", [_GOOD, some, some], good, (_WRONG,)


@pytest.mark.parametrize("path", OAUTH)
async def test_a_form_that_is_none(path: str, stage: Stage) -> None:
    """400 in the words of RFC 6749, and the token in it is neither spent nor ended."""
    victim = await stage.sign_in(client="shop")
    fields = grants(stage, victim, path)
    faults: list[str] = []
    for name, headers, body, allowed in bad_forms(fields):

        async def throw(
            _: str, headers: Sequence[Pair] = headers, body: bytes = body
        ) -> Answer:
            return await stage.call("POST", path, headers, body)

        text = body[:20_000].decode("latin-1")
        faults += await stage.besiege([(name, text)], throw, allowed)
    assert faults == []
    assert await stage.lives(victim)
    kind = ("Content-Type", f"{FORM.upper()} ; charset=UTF-8")
    answer = await stage.call("POST", path, [kind], _encoded(fields) + b"&x=&y=1")
    assert answer.status == 200, answer


@pytest.mark.parametrize("path", OAUTH)
async def test_nothing_is_read_from_the_query(path: str, stage: Stage) -> None:
    """Queries end up in logs (RFC 6749 section 2.3.1; the canary looks)."""
    victim = await stage.sign_in(client="shop")
    fields = grants(stage, victim, path)
    target = f"{path}?{_encoded(fields).decode()}"

    async def throw(_: str) -> Answer:
        return await stage.call("POST", target, [_GOOD])

    assert await stage.besiege([("all of it", target)], throw, [_WRONG]) == []
    for name in fields:
        body = _encoded({key: fields[key] for key in fields if key != name})
        answer = await stage.call(
            "POST", f"{path}?{name}={fields[name]}", [_GOOD], body
        )
        unneeded = name == "grant_type" and path != "/oauth/token"
        assert (answer.status == 200) is unneeded, name
        victim = (
            victim if await stage.lives(victim) else await stage.sign_in(client="shop")
        )
        fields = grants(stage, victim, path)


@pytest.mark.parametrize(
    "grant_type",
    [
        *("password", "authorization-code", "implicit", "token", "REFRESH_TOKEN"),
        *("refresh_token ", " refresh_token", "refresh_token\0", "none", "*"),
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:openid:params:grant-type:ciba",
    ],
)
async def test_no_other_grant(grant_type: str, stage: Stage) -> None:
    """The password grant among them (RFC 9700 section 2.4)."""
    victim = await stage.sign_in(client="shop")
    fields = grants(stage, victim, "/oauth/token") | {
        "grant_type": grant_type,
        "username": "alice",
        "password": PASSWORD,
        "subject_token": victim.access,
        "assertion": victim.access,
        "code": "x",
    }
    answer = await stage.form("/oauth/token", fields)
    assert answer.verdict() == "400 unsupported_grant_type"
    await stage.rotated(victim)


def _broken_json(good: bytes) -> dict[str, bytes]:
    inside = good[1:-1]
    return {
        "cut off": good[:-1],
        "more after it": good + b"x",
        "twice": good + good,
        "in an array": b"[" + good + b"]",
        "in text": json.dumps(good.decode()).encode()[:-1],
        "in single quotes": good.replace(b'"', b"'"),
        "with a comment": good + b"/**/",
        "a comma too many": b"{" + inside + b",}",
        "its members twice": b"{" + inside + b"," + inside + b"}",
        "a member twice, escaped": b"{"
        + inside
        + b',"refresh\\u0054oken":"x","passwor\\u0064":"x"}',
        "with a BOM": b"\xef\xbb\xbf" + good,
        "in UTF-16": good.decode().encode("utf-16"),
        "in UTF-32": good.decode().encode("utf-32"),
        "not UTF-8": b"{" + inside + b',"x":"\xff"}',
        "a surrogate in UTF-8": b"{" + inside + b',"x":"\xed\xa0\x80"}',
        "a control character": b"{" + inside + b',"x":"\x01"}',
        "NaN": b"{" + inside + b',"x":NaN}',
        "nested too deep": b"[" * 20_000,
        "an object nested too deep": b'{"refreshToken":' * 1500,
        "null": b"null",
        "true": b"true",
        "a number": b"1",
        "a huge number": b"9" * 5000,
        "an empty array": b"[]",
        "an empty object": b"{}",
        "the wrong members": b'{"refresh_token":"x","user":"x"}',
        **{
            f"members that are {value.decode()}": b'{"refreshToken":%b,"username":%b,'
            b'"password":%b}' % (value, value, value)
            for value in (b"null", b"true", b"1", b"[]", b"{}", b'["x"]', b'{"a":"x"}')
        },
    }


def bad_json(good: bytes) -> Iterator[tuple[str, Sequence[Pair], bytes, str]]:
    for kind in OTHER_TYPES:
        headers = [] if kind is None else [("Content-Type", kind)]
        yield f"Content-Type {kind}", headers, good, "415 unsupported_media_type"
    yield "a form", [_GOOD], b"refreshToken=x", "415 unsupported_media_type"
    yield "JSON as a form", [_GOOD], good, "415 unsupported_media_type"
    yield "two content types", [_JSON, _GOOD], good, _WRONG
    for name, body in _broken_json(good).items():
        yield name, [_JSON], body, _WRONG
    yield "33 KiB", [_JSON], good[:-1] + b" " * 33_000, "413 payload_too_large"
    long = ("Content-Length", "9" * 30)
    yield "said to be long", [_JSON, long], good, "413 payload_too_large"


@pytest.mark.parametrize("where", NATIVE)
async def test_json_that_is_none(where: str, stage: Stage) -> None:
    """400, 413 or 415; no token in it is spent, and no password in it looked at."""
    victim = await stage.sign_in()
    fields, status = NATIVE[where]
    good = json.dumps(fields | {"refreshToken": victim.refresh}).encode()
    path = f"{BASE}/{where}"
    shown = []
    if where == "email/change":
        shown = [("Authorization", f"Bearer {victim.access}")]
    faults: list[str] = []
    for name, headers, body, allowed in bad_json(good):

        async def throw(
            _: str, headers: Sequence[Pair] = headers, body: bytes = body
        ) -> Answer:
            return await stage.call("POST", path, [*headers, *shown], body)

        text = body[:20_000].decode("latin-1")
        faults += await stage.besiege([(name, text)], throw, [allowed])
    assert faults == []
    assert await stage.lives(victim)
    kind = ("Content-Type", "Application/JSON; charset=utf-8")
    spaced = b" \n" + good + b"\n"
    answer = await stage.call("POST", path, [kind, *shown], spaced)
    assert answer.status == status, answer


async def test_no_token_from_a_query_or_a_form(stage: Stage) -> None:
    """Only from the header (RFC 6750 section 5.3; ASVS 14.2.1)."""
    victim = await stage.sign_in()
    access, refresh = victim.access, victim.refresh
    form = f"access_token={access}".encode()
    kind = ("Content-Type", "application/json")
    empty = ("400 invalid_request", "401 token_missing")
    for method, target, headers, body in (
        ("GET", f"{SECURE}?access_token={access}", [], b""),
        ("GET", f"{SECURE}?token={access}", [], b""),
        ("GET", f"{SECURE}?Authorization=Bearer%20{access}", [], b""),
        ("GET", SECURE, [_GOOD], form),
        ("GET", f"{BASE}/sessions?access_token={access}", [_GOOD], form),
        ("POST", f"{BASE}/logout-all?access_token={access}", [_GOOD], form),
        ("POST", f"{BASE}/logout?access_token={access}", [], b""),
        ("POST", f"{BASE}/logout?refreshToken={refresh}", [kind], b""),
        ("POST", f"{BASE}/refresh?refreshToken={refresh}", [kind], b""),
        ("POST", f"{BASE}/refresh?refreshToken={refresh}", [kind], b"{}"),
        ("DELETE", f"{BASE}/sessions/{victim.session}?access_token={access}", [], b""),
        ("GET", f"{BASE}/account?access_token={access}", [], b""),
        ("DELETE", f"{BASE}/account?access_token={access}", [], b""),
        ("POST", f"{BASE}/password/reset?token={access}", [kind], b'{"password":"x"}'),
        (
            *("POST", f"{BASE}/step-up?refreshToken={refresh}", [kind]),
            b'{"method":"password","password":"x"}',
        ),
    ):

        async def throw(
            _: str,
            method: str = method,
            target: str = target,
            headers: Sequence[Pair] = headers,
            body: bytes = body,
        ) -> Answer:
            return await stage.call(method, target, headers, body)

        assert await stage.besiege([(target[:40], target)], throw, empty) == []
    await stage.rotated(victim)


async def test_a_client_named_in_the_form_alone_is_that_client(stage: Stage) -> None:
    """A public client is who it says; it cannot take another's session by it."""
    victim = await stage.sign_in(client="pocket")
    fields = {"grant_type": "refresh_token", "refresh_token": victim.refresh}
    answer = await stage.form("/oauth/token", {**fields, "client_id": FIRST})
    assert answer.verdict() == "400 invalid_grant"
    await stage.rotated(victim)
