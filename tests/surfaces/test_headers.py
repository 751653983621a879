"""Headers that lie, come twice or are spelled otherwise, around a good token."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Final

import pytest

from tests.scenarios.api import BASE, PASSWORD
from tests.surfaces.answers import Answer
from tests.surfaces.stage import (
    APP,
    BY_SCRIPT,
    COOKIE,
    OAUTH,
    ORIGIN,
    SECURE,
    Holder,
    Pair,
    Stage,
)
from tests.surfaces.test_access_tokens import PLACES

_MISSING: Final = "401 token_missing"
_WRONG: Final = "400 invalid_request"
_EVIL: Final = "https://evil.example"

POSTS: Final = (
    *(f"{BASE}/{name}" for name in ("login", "refresh", "logout", "logout-all")),
    *OAUTH,
)
OVERRIDES: Final[Sequence[Pair]] = [
    ("X-HTTP-Method-Override", "{}"),
    ("X-HTTP-Method", "{}"),
    ("X-Method-Override", "{}"),
]
SPOOFS: Final[Sequence[Pair]] = [
    ("Host", "evil.example"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Port", "80"),
    ("X-Forwarded-Prefix", "/evil.example"),
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Real-IP", "203.0.113.9"),
    ("True-Client-IP", "203.0.113.9"),
    ("CF-Connecting-IP", "203.0.113.9"),
    ("Forwarded", "for=203.0.113.9;host=evil.example;proto=http"),
    ("X-Original-URL", f"{BASE}/logout-all"),
    ("X-Rewrite-URL", f"{BASE}/logout-all"),
    ("X-Original-Host", "evil.example"),
    ("Origin", _EVIL),
    ("Referer", f"{_EVIL}/"),
]


def bad_authorization(
    token: str,
) -> Iterator[tuple[str, Sequence[Pair], tuple[str, ...]]]:
    """The token, where it counts for nothing."""
    good = ("Authorization", f"Bearer {token}")
    both = (_WRONG, _MISSING, "401 token_invalid")
    yield "twice", [good, good], (_WRONG,)
    yield "twice, differing", [good, ("Authorization", "Bearer x")], (_WRONG,)
    yield "with Basic beside it", [good, ("Authorization", "Basic eDp4")], (_WRONG,)
    yield "empty beside it", [good, ("Authorization", "")], (_WRONG,)
    for value in (
        *("", " ", "Bearer", "Bearer ", "bearer", token, f"Bearer{token}"),
        *(f"Bearer\t{token}", f"Bearer\u00a0{token}", f"Bearer\n {token}"),
        *(f"Bearer {token}, Bearer {token}", f"Bearer {token},Basic eDp4"),
        *(f"Bearer {token} {token}", f"Bearer {token};x", f"Bearer {token}\0"),
        *(f"Bearer: {token}", f"Bearer={token}", f'Bearer token="{token}"'),
        *(f'Bearer "{token}"', f"Bearer <{token}>", f"Bearer Bearer {token}"),
        *(f"Token {token}", f"JWT {token}", f"OAuth {token}", f"X-Bearer {token}"),
        *(f"Basic {token}", f"Digest {token}", f"Negotiate {token}", "Bearer é"),
        *(f"Bear\u0435r {token}", f"Bearers {token}", f"Bearer %20{token}"),
        f"Basic {base64.b64encode(f'{token}:'.encode()).decode()}",
        f"Bearer {token[:40]} {token[40:]}",
        f"Bearer {token[:40]}\t{token[40:]}",
        f"Bearer {token}{'A' * 100_000}",
    ):
        yield f"{value[:12]!r} of {len(value)}", [("Authorization", value)], both
    for scheme in ("DPoP", "dpop", "DPOP"):
        header = ("Authorization", f"{scheme} {token}")
        yield f"unbound, by {scheme}", [header], ("401 token_invalid",)
    for name in (
        *("X-Authorization", "Proxy-Authorization", "X-Access-Token", "X-Auth-Token"),
        *("Access-Token", "X-Forwarded-Authorization", "X-Amzn-Oidc-Data", "DPoP"),
        *("Sec-WebSocket-Protocol", "X-Original-Authorization", "Authorization2"),
    ):
        yield f"in {name}", [(name, f"Bearer {token}")], (_MISSING,)
    for name in ("access_token", "token", "Authorization", COOKIE, "jwt"):
        yield f"in the cookie {name}", [("Cookie", f"{name}={token}")], (_MISSING,)


@pytest.mark.parametrize(
    ("method", "path"), PLACES[:-1], ids=map(" ".join, PLACES[:-1])
)
async def test_a_good_token_in_a_bad_header(
    method: str, path: str, stage: Stage
) -> None:
    """400 for what is malformed, 401 for what is not there (RFC 6750 section 3.1)."""
    victim = await stage.sign_in()
    path = path.format(victim.session)
    faults: list[str] = []
    for name, headers, allowed in bad_authorization(victim.access):

        async def throw(_: str, headers: Sequence[Pair] = headers) -> Answer:
            return await stage.call(method, path, headers)

        faults += await stage.besiege([(name, str(headers[0][1]))], throw, allowed)
    assert faults == []
    assert await stage.lives(victim)


@pytest.mark.parametrize(
    "scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer   "]
)
async def test_the_scheme_is_read_in_any_case(scheme: str, stage: Stage) -> None:
    """RFC 9110 section 11.1; a verifier that refused all would pass the tests above."""
    victim = await stage.sign_in()
    header = ("AUTHORIZATION", f"{scheme} {victim.access}")
    assert (await stage.call("GET", SECURE, [header])).status == 200


async def test_no_method_but_its_own(stage: Stage) -> None:
    """405 with Allow, whatever a header or a parameter says the method is."""
    victim = await stage.sign_in()
    good = ("Authorization", f"Bearer {victim.access}")
    device = f"{BASE}/sessions/{victim.session}"
    methods = ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "POST")
    right = dict.fromkeys(POSTS, "POST") | {device: "DELETE"}
    right |= dict.fromkeys([SECURE, f"{BASE}/me", f"{BASE}/sessions"], "GET")
    faults: list[str] = []
    for path, own in right.items():
        same = (own, "HEAD" if own == "GET" else own)
        for method in (*methods, own.lower(), "EVIL.EXAMPLE", f"{own} "):
            if method in same:
                continue
            for name, value in OVERRIDES:
                override = (name, str(value).format(own))

                async def throw(
                    _: str,
                    method: str = method,
                    path: str = path,
                    override: Pair = override,
                    own: str = own,
                ) -> Answer:
                    target = f"{path}?_method={own}"
                    return await stage.call(method, target, [good, override])

                allowed = ("405 method_not_allowed", "405 invalid_request")
                case = (f"{method} {path} {name}", victim.access)
                faults += await stage.besiege([case], throw, allowed)
    assert faults == []
    await stage.rotated(victim)


@pytest.mark.parametrize("spoof", SPOOFS, ids=[name for name, _ in SPOOFS])
async def test_headers_about_the_way_decide_nothing(spoof: Pair, stage: Stage) -> None:
    """No address, path or protocol in an answer, nor in the log, comes from them."""
    victim = await stage.sign_in()
    plain, spoofed = [], []
    for method, path, headers in (
        ("GET", SECURE, [("Authorization", "Bearer x")]),
        ("GET", SECURE, []),
        ("GET", SECURE, [("Authorization", f"Bearer {victim.access}")]),
        ("GET", "/healthz", [("Authorization", f"Bearer {victim.access}")]),
        ("GET", "/.well-known/oauth-authorization-server", []),
        ("GET", "/.well-known/openid-configuration", []),
        ("GET", f"/.well-known/oauth-protected-resource{BASE}", []),
        ("GET", "/.well-known/jwks.json", []),
        ("GET", "/openapi.json", []),
        ("GET", f"{BASE}/secure/", []),
        ("GET", f"{BASE}//secure", []),
        ("POST", f"{BASE}/refresh", []),
        ("POST", "/oauth/token", []),
    ):
        plain.append(await stage.call(method, path, headers))
        spoofed.append(await stage.call(method, path, [*headers, spoof]))
    assert [_told(one) for one in spoofed] == [_told(one) for one in plain]
    body = {"username": "alice", "password": PASSWORD}
    answer = await stage.json(f"{BASE}/login", body, spoof)
    assert answer.status == 200
    assert "evil.example" not in repr(answer)
    audit = await stage.logged()
    assert "203.0.113.9" not in audit
    assert "evil.example" not in audit
    await stage.rotated(victim)


def _told(answer: Answer) -> tuple[object, ...]:
    # A foreign origin is told apart, for caches (RFC 9110 section 12.5.5).
    kept = [pair for pair in answer.headers if pair[0] not in {"vary", "x-request-id"}]
    cors = [pair for pair in kept if pair[0].startswith("access-control-allow-cred")]
    return answer.status, [pair for pair in kept if pair not in cors], answer.body


Case = tuple[str, Sequence[Pair], tuple[str, ...]]


def bad_cookies(good: str, rival: str) -> Iterator[Case]:
    """Cookies, and where requests with them come from."""
    cookie = ("Cookie", f"{COOKIE}={good}")
    yield from _foreign(cookie)
    yield from _several(cookie, f"{COOKIE}={rival}")
    yield from _misspelled(good)


def _foreign(cookie: Pair) -> Iterator[Case]:
    csrf = ("403 csrf_rejected",)
    yield "without the header", [cookie], csrf
    for scheme in ("Basic eDp4", "Negotiate x", "Digest x"):
        # Browsers send these by themselves.
        yield f"beside {scheme}", [cookie, ("Authorization", scheme)], csrf
    for site in ("cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin "):
        pairs = [cookie, BY_SCRIPT, ("Sec-Fetch-Site", site)]
        yield f"Sec-Fetch-Site {site!r}", pairs, csrf
        yield f"{site!r}, of a form", [cookie, ("Sec-Fetch-Site", site)], csrf
    for origin in (
        *("null", "", _EVIL, f"{ORIGIN}.evil.example", "http://auth.example", "*"),
        *("https://evil.example#auth.example", "https://auth.example@evil.example"),
        *("https://xauth.example", "https://sub.auth.example", f"{ORIGIN}:8443"),
        *(f"{ORIGIN}/", "https://auth.exampl\u0435", f"{APP}.evil.example"),
        *(f"{APP}/", f"{APP} {_EVIL}", f"{ORIGIN}, {_EVIL}", ORIGIN.upper()),
        *("file://", "auth.example", "https://", "about:blank"),
    ):
        pairs = [cookie, BY_SCRIPT, ("Origin", origin)]
        yield f"Origin {origin!r}", pairs, csrf
        cross = ("Sec-Fetch-Site", "cross-site")
        yield f"{origin!r}, cross-site", [*pairs, cross], csrf


def _several(cookie: Pair, rival: str) -> Iterator[Case]:
    wrong = (_WRONG,)
    origins = ("Origin", ORIGIN), ("Origin", _EVIL)
    yield "two origins", [cookie, BY_SCRIPT, *origins], wrong
    sites = ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")
    yield "two sites", [cookie, BY_SCRIPT, *sites], wrong
    yield "the header twice", [cookie, BY_SCRIPT, BY_SCRIPT], wrong
    yield "two cookies, the same", [cookie, cookie, BY_SCRIPT], wrong
    yield "two cookie headers", [cookie, ("Cookie", rival), BY_SCRIPT], wrong
    both = ("Cookie", f"{cookie[1]!s}; {rival}")
    yield "two cookies", [both, BY_SCRIPT], wrong


def _misspelled(good: str) -> Iterator[Case]:
    """No session's cookie: a page that means one is told that there is none."""
    gone = ("401 refresh_invalid", "200 ok")
    for line in (
        *(f"__host-watchword={good}", f"__Host-Watchword={good}", f"refresh={good}"),
        *(f"watchword={good}", f"__Secure-watchword={good}", f"$Version=1; {good}"),
        *(f"\u00a0{COOKIE}={good}", f"${COOKIE}={good}", f"{COOKIE}[]={good}"),
        *(f"%5F_Host-watchword={good}", f"__Host\u2010watchword={good}"),
        *(f"a=b,{COOKIE}={good}", f"{COOKIE}=", COOKIE, good, f'{COOKIE}="{good}"'),
        *(f"{COOKIE}={good}=x", f"{COOKIE}=={good}", f"{COOKIE}:{good}"),
        *(f"{COOKIE}={good}é", f"{COOKIE}={good}\0", f"{COOKIE}={good},a=b"),
        f"{COOKIE}={good}{'A' * 1_000_000}",
    ):
        yield repr(line[:30]), [("Cookie", line), BY_SCRIPT], gone


@pytest.mark.parametrize("where", ["refresh", "logout"])
async def test_a_good_cookie_in_a_bad_request(where: str, stage: Stage) -> None:
    """403 for what another site may have caused, and nothing is spent or ended."""
    victim = await stage.sign_in(cookie=True)
    rival = await stage.sign_in("bob", cookie=True)
    faults: list[str] = []
    for name, headers, allowed in bad_cookies(victim.refresh, rival.refresh):

        async def throw(_: str, headers: Sequence[Pair] = headers) -> Answer:
            return await stage.call("POST", f"{BASE}/{where}", headers)

        thrown = str(headers[0][1]).partition("=")[2]
        faults += await stage.besiege([(name, thrown)], throw, allowed)
        faults += [] if await stage.lives(victim) else [f"{name}: ended the session"]
    assert faults == []
    many = ("Cookie", "; ".join(f"c{n}={'x' * 50}" for n in range(2000)))
    stage.clock.advance(60_000)
    victim = await stage.rotated(victim)
    stage.clock.advance(60_000)
    assert (await stage.refresh(victim, many)).status == 200
    assert await stage.lives(rival)


@pytest.mark.parametrize(
    "origin", ["null", _EVIL, f"{APP}.evil.example", "https://app.exampl"]
)
async def test_a_foreign_page_reads_nothing(origin: str, stage: Stage) -> None:
    """The allow-list is exact; a page that is not on it gets no permission."""
    victim = await stage.sign_in(cookie=True)
    asked = [("Access-Control-Request-Method", "POST")]
    headers = ("Access-Control-Request-Headers", BY_SCRIPT[0].lower())
    for path in (f"{BASE}/refresh", f"{BASE}/login", "/oauth/token"):
        for method, more in (("OPTIONS", [*asked, headers]), ("POST", [])):
            answer = await stage.call(method, path, [("Origin", origin), *more])
            assert answer.header("access-control-allow-origin") == "", answer
            assert answer.status in (400, 403, 405, 415), answer
    allowed = await stage.call("OPTIONS", f"{BASE}/refresh", [("Origin", APP), *asked])
    assert allowed.header("access-control-allow-origin") == APP
    body = {"username": "alice", "password": PASSWORD, "transport": "cookie"}
    answer = await stage.json(f"{BASE}/login", body, ("Origin", origin))
    assert answer.verdict() == "403 csrf_rejected"
    assert answer.cookie() == ""
    assert await stage.lives(victim)


async def test_a_retry_key_that_is_none(stage: Stage) -> None:
    """400, and the token beside it is not spent."""
    victim, shop = await stage.sign_in(), await stage.sign_in(client="shop")
    key = "retry-key-0000000001"
    cases = [
        [("Idempotency-Key", value)]
        for value in (
            *("", "short", '"short"', '""', "x" * 129, f'"{"x" * 129}"', "x" * 50_000),
            *(f"{key}\t", f"{key} x", f'{key}"x', f"{key}\\", f"{key}é", f"{key}\0"),
            *(f'"{key}', f'{key}"', f"'{key}\n'", f'"{key}";a=1', f'"{key}", "{key}"'),
        )
    ]
    cases.append([("Idempotency-Key", key), ("Idempotency-Key", key)])
    for holder in (victim, shop):
        faults: list[str] = []
        for headers in cases:

            async def throw(
                _: str, holder: Holder = holder, headers: Sequence[Pair] = headers
            ) -> Answer:
                return await stage.refresh(holder, *headers)

            value = str(headers[0][1])
            faults += await stage.besiege([(value[:30], value)], throw, [_WRONG])
        assert faults == []
        await stage.rotated(holder)
