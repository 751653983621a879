"""CORS: which pages of other origins may call, and that all others may not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from tests.rows import in_one
from tests.scenarios.api import BASE, LocalApi, bearer, local_api, settings_for
from watchword.errors import Overloaded
from watchword.server.endpoints import ENDPOINTS
from watchword.testing import ManualClock

APP = "https://app.example"
LOCAL = "http://localhost:5173"
PUBLIC = {
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource/api/auth",
    "/watchword.js",
    "/watchword.d.ts",
}
NATIVE = "capacitor://localhost"
TRACING = [
    *("traceparent", "tracestate", "baggage", "sentry-trace"),
    *("b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled"),
    *("x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-origin"),
    *("x-datadog-sampling-priority", "newrelic", "elastic-apm-traceparent"),
    *("request-id", "request-context", "x-request-id", "x-correlation-id"),
]
OURS = [
    *("authorization", "content-type", "dpop", "idempotency-key", "if-match"),
    "x-requested-with",
]
SENT = sorted([*OURS, *TRACING])
EXPOSED = ["dpop-nonce", "etag", "retry-after", "www-authenticate", "x-request-id"]
FOREIGN = [
    "null",
    "",
    "*",
    "https://evil.example",
    "https://app.example.evil.example",
    "https://evilapp.example",
    "https://sub.app.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example:443",
    "https://app.example/",
    "https://APP.example",
    "https://app.example.",
    "https://user@app.example",
    f"{APP}, {APP}",
    f"{APP} {LOCAL}",
    "http://localhost",
    "ionic://localhost",
    "capacitor://localhost:1",
    "http://localhost:51730",
    "https://auth.example",  # needs none: it is ours
]


@pytest_asyncio.fixture
async def open_to_apps(
    tmp_path: Path, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    settings = settings_for(tmp_path, "memory", cors_origins=(APP, LOCAL, NATIVE))
    async with local_api(settings, clock) as api:
        yield api.client


def granted(answer: httpx2.Response) -> dict[str, str]:
    """The headers of CORS, without their prefix."""
    prefix = "access-control-"
    return {
        name.removeprefix(prefix): value
        for name, value in answer.headers.items()
        if name.startswith(prefix)
    }


def words(text: str) -> list[str]:
    return sorted(word.strip().lower() for word in text.split(","))


def varies(answer: httpx2.Response) -> bool:
    return "origin" in words(answer.headers.get("vary", ""))


def calls() -> list[tuple[str, str]]:
    """Every endpoint, called with nothing: most refuse that, each in its own way."""
    return [
        *((one.method, re.sub(r"{\w+}", "x", one.path)) for one in ENDPOINTS),
        ("GET", "/nowhere"),
        ("GET", f"{BASE}/refresh"),
        ("PUT", f"{BASE}/secure"),
    ]


@pytest.mark.parametrize("origin", [APP, LOCAL, NATIVE])
async def test_an_allowed_origin_may_read_every_answer_but_our_pages(
    open_to_apps: httpx2.AsyncClient, origin: str
) -> None:
    """Errors too, of the hot routes as of the others: a page must see its 401."""
    statuses, of_pages = set(), set()
    for method, path in calls():
        headers = {"Origin": origin}
        answer = await open_to_apps.request(method, path, headers=headers)
        found = granted(answer)
        kind = answer.headers.get("content-type", "")
        if kind.startswith("text/html") or "location" in answer.headers:
            of_pages.add(answer.status_code)
            assert (found, varies(answer)) == ({}, True)
            continue
        statuses.add(answer.status_code)
        assert found.pop("allow-origin") == origin, path
        assert found.pop("allow-credentials") == "true"
        assert words(found.pop("expose-headers")) == EXPOSED
        assert not found
        assert len(answer.headers.get_list("access-control-allow-origin")) == 1
        assert varies(answer)
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert {200, 400, 401, 404, 405, 415} <= statuses
    assert {200, 303, 415} <= of_pages


async def test_of_others_no_answer_names_the_origin(
    open_to_apps: httpx2.AsyncClient,
) -> None:
    """And none has a wildcard but the public documents, which know no credentials."""
    for origin in FOREIGN:
        for method, path in calls():
            headers = {"Origin": origin}
            answer = await open_to_apps.request(method, path, headers=headers)
            expected = {"allow-origin": "*"} if path in PUBLIC else {}
            assert granted(answer) == expected, (origin, path)
            assert varies(answer)
    twice = [("Origin", APP), ("Origin", "https://evil.example")]
    assert not granted(await open_to_apps.get("/healthz", headers=twice))
    without = await open_to_apps.get(f"{BASE}/secure")
    assert not granted(without)
    assert varies(without)


async def test_a_503_may_be_read_too(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Retry-After: the page is to wait, not to sign its user out."""
    settings = settings_for(tmp_path, "memory", cors_origins=(APP,))
    async with local_api(settings, clock) as api:
        tokens = await api.login()

        async def full(*_: object) -> object:
            raise Overloaded

        monkeypatch.setattr(api.engine.stores.sessions, "load", full)
        answer = await api.client.post(
            f"{BASE}/refresh",
            json={"refreshToken": tokens["refreshToken"]},
            headers={"Origin": APP},
        )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert granted(answer)["allow-origin"] == APP
    assert "retry-after" in words(granted(answer)["expose-headers"])


@in_one("path", sorted({one.path for one in ENDPOINTS}))
async def test_a_preflight_of_an_allowed_origin_allows_what_pages_need(
    open_to_apps: httpx2.AsyncClient, path: str
) -> None:
    """Every method and header that an operation takes, and no wildcard."""
    methods = {one.method for one in ENDPOINTS if one.path == path}
    for method in methods:
        headers = {
            "Origin": APP,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": ",".join(SENT),
        }
        answer = await open_to_apps.options(path, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        found = granted(answer)
        assert found["allow-origin"] == APP
        assert found["allow-credentials"] == "true"
        assert words(found["allow-methods"]) == ["delete", "get", "patch", "post"]
        assert method.lower() in words(found["allow-methods"])
        assert words(found["allow-headers"]) == SENT
        assert int(found["max-age"]) <= 3600
        assert varies(answer)
        assert "set-cookie" not in answer.headers
        for name in ("x-content-type-options", "strict-transport-security"):
            assert name in answer.headers


async def test_a_preflight_of_another_origin_is_a_method_that_is_not_there(
    open_to_apps: httpx2.AsyncClient,
) -> None:
    for origin in FOREIGN:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await open_to_apps.options(f"{BASE}/refresh", headers=headers)
        assert (answer.status_code, granted(answer)) == (405, {}), origin
    plain = await open_to_apps.options(f"{BASE}/refresh", headers={"Origin": APP})
    assert (plain.status_code, plain.headers["allow"]) == (405, "POST")


async def test_without_a_list_there_is_no_cors(api: LocalApi) -> None:
    """But for what anybody may read."""
    for method, path in calls():
        headers = {"Origin": APP, **bearer("a.b.c")}
        answer = await api.client.request(method, path, headers=headers)
        expected = {"allow-origin": "*"} if path in PUBLIC else {}
        assert granted(answer) == expected
    headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    answer = await api.client.options(f"{BASE}/refresh", headers=headers)
    assert (answer.status_code, granted(answer)) == (405, {})


async def test_in_clear_behind_a_proxy_not_even_a_preflight_is_answered(
    tmp_path: Path, clock: ManualClock
) -> None:
    proxies = {"cors_origins": (APP,), "behind_proxy": ("127.0.0.1",)}
    async with local_api(settings_for(tmp_path, "memory", **proxies), clock) as api:
        headers = {"Origin": APP, "Access-Control-Request-Method": "POST"}
        url = f"http://auth.example{BASE}/login"
        answer = await api.client.options(url, headers=headers)
        assert answer.json()["code"] == "https_required"
