"""Each endpoint's promise."""

from __future__ import annotations

import re
from typing import Any, NoReturn

import httpx2
import msgspec
import pytest

from tests.scenarios.api import BASE, PASSWORD, LocalApi, bearer, code_of
from watchword.core import limits
from watchword.core.session import Authenticated, SessionOptions
from watchword.errors import StoreUnavailable
from watchword.server import app as applications
from watchword.server.app import make_app
from watchword.server.embedded import EmbeddedApp
from watchword.server.endpoints import ENDPOINTS
from watchword.server.endpoints.oauth import metadata
from watchword.server.endpoints.oauth.metadata import (
    OPENID_PATH,
    RESOURCE_PATH,
    SERVER_PATH,
)
from watchword.server.openapi import document
from watchword.testing import ManualClock

REFRESH = re.compile(r"ww_rt_[A-Za-z0-9_-]{76}")
KEY = "a-retry-key-of-this-test"


async def test_login_gives_both_tokens_and_how_long_they_work(api: LocalApi) -> None:
    answer = await api.try_login("alice", PASSWORD)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    tokens = answer.json()
    assert list(tokens) == [
        *("accessToken", "expiresIn", "refreshToken", "refreshExpiresIn"),
        *("sessionId", "tokenType"),
    ]
    assert REFRESH.fullmatch(tokens["refreshToken"])
    assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 120)
    assert tokens["refreshExpiresIn"] == 7 * 24 * 3600


async def test_login_ignores_what_it_does_not_know_and_takes_any_spelling(
    api: LocalApi,
) -> None:
    body = {"username": " ALICE ", "password": PASSWORD, "remember": True}
    answer = await api.client.post(f"{BASE}/login", json=body)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        lambda token: {"refreshToken": token},
        lambda token: token,
        lambda token: {"refreshToken": token, "other": [1]},
    ],
    ids=["object", "bare string", "object with more"],
)
async def test_refresh_spends_the_token_and_gives_its_successor(
    api: LocalApi, form: Any
) -> None:
    first = await api.login()
    api.clock.advance(1000)
    answer = await api.client.post(f"{BASE}/refresh", json=form(first["refreshToken"]))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second.keys() == first.keys()
    assert second["sessionId"] == first["sessionId"]
    assert second["refreshToken"] != first["refreshToken"]
    assert second["accessToken"] != first["accessToken"]
    assert (await api.secure(second["accessToken"])).status_code == 200
    assert (await api.secure(first["accessToken"])).status_code == 200
    again = await api.client.post(f"{BASE}/refresh", json=form(first["refreshToken"]))
    assert (again.status_code, code_of(again)) == (401, "refresh_reused")
    assert code_of(await api.secure(second["accessToken"])) == "token_revoked"


async def test_the_same_request_with_its_key_gets_the_same_successor(
    api: LocalApi,
) -> None:
    first = await api.login()
    one = await api.refresh(first["refreshToken"], KEY)
    two = await api.refresh(first["refreshToken"], f'"{KEY}"')
    assert one.json()["refreshToken"] == two.json()["refreshToken"]
    reused = await api.refresh(one.json()["refreshToken"], KEY)
    assert (reused.status_code, code_of(reused)) == (400, "retry_key_reused")


@pytest.mark.parametrize("generation", ["current", "spent", "expired"])
async def test_logout_takes_any_token_of_the_session_and_again(
    api: LocalApi, generation: str
) -> None:
    first = await api.login()
    last = (await api.refresh(first["refreshToken"])).json()
    token = (last if generation == "current" else first)["refreshToken"]
    if generation == "expired":
        api.clock.advance(8 * limits.DAY)
    for _ in range(2):
        answer = await api.logout(token)
        assert answer.status_code == 200
        assert answer.json() == {"message": "Logged out successfully"}
    refused = await api.refresh(last["refreshToken"])
    assert code_of(refused) == "session_revoked"
    if generation != "expired":
        assert code_of(await api.secure(last["accessToken"])) == "token_revoked"


@pytest.mark.parametrize(
    "form", [lambda t: t, lambda t: {"refreshToken": t}], ids=["string", "object"]
)
async def test_logout_of_an_unknown_token_is_done_already(
    api: LocalApi, form: Any
) -> None:
    for token in ("", "x", "ww_rt_" + "A" * 76):
        answer = await api.client.post(f"{BASE}/logout", json=form(token))
        assert answer.status_code == 200


@pytest.mark.parametrize("when", ["fresh", "expired", "revoked"])
async def test_logout_with_the_bearer_alone(api: LocalApi, when: str) -> None:
    tokens = await api.login()
    if when == "expired":
        api.clock.advance(limits.HOUR)
    if when == "revoked":
        await api.logout(tokens["refreshToken"])
    headers = bearer(tokens["accessToken"])
    answer = await api.client.post(f"{BASE}/logout", headers=headers)
    assert answer.status_code == 200
    assert code_of(await api.refresh(tokens["refreshToken"])) == "session_revoked"


async def test_logout_without_anything_or_with_a_forged_bearer(api: LocalApi) -> None:
    assert code_of(await api.client.post(f"{BASE}/logout")) == "invalid_request"
    forged = await api.client.post(f"{BASE}/logout", headers=bearer("a.b.c"))
    assert code_of(forged) == "token_invalid"


async def test_logout_all_ends_every_session_of_this_account_alone(
    api: LocalApi,
) -> None:
    await api.engine.accounts.register("bob", PASSWORD)
    mine = [await api.login() for _ in range(3)]
    other = await api.login("bob")
    answer = await api.logout_all(mine[0]["accessToken"])
    assert answer.json() == {"revoked": 3}
    for tokens in mine:
        assert code_of(await api.secure(tokens["accessToken"])) == "token_revoked"
        assert code_of(await api.refresh(tokens["refreshToken"])) == "session_revoked"
    assert (await api.secure(other["accessToken"])).status_code == 200
    again = await api.logout_all(mine[0]["accessToken"])
    assert code_of(again) == "token_revoked"


async def test_secure_says_who_and_for_how_long(
    api: LocalApi, clock: ManualClock
) -> None:
    tokens = await api.login()
    account = await api.engine.accounts.get("alice")
    clock.advance(20_000)
    answer = await api.secure(tokens["accessToken"])
    assert answer.json() == {
        "subject": str(__import__("uuid").UUID(bytes=account.id)),
        "expiresIn": 100,
        "message": "API accessed using valid JWT token",
    }
    clock.advance(100_000)
    late = await api.secure(tokens["accessToken"])
    assert (late.status_code, code_of(late)) == (401, "token_expired")
    assert late.headers["www-authenticate"].startswith(
        'Bearer realm="watchword", error="invalid_token"'
    )


async def test_me_shows_the_claims_and_no_name(api: LocalApi) -> None:
    tokens = await api.login()
    answer = await api.client.get(f"{BASE}/me", headers=bearer(tokens["accessToken"]))
    claims = answer.json()
    assert claims["sid"] == tokens["sessionId"]
    assert claims["iss"] == "https://auth.example"
    assert claims["exp"] - claims["iat"] == 120
    assert "alice" not in answer.text


async def test_sessions_lists_my_devices_and_ends_one(api: LocalApi) -> None:
    phone = await api.login()
    desk = await api.login()
    headers = bearer(desk["accessToken"])
    rows = (await api.client.get(f"{BASE}/sessions", headers=headers)).json()[
        "sessions"
    ]
    assert {row["id"]: row["current"] for row in rows} == {
        phone["sessionId"]: False,
        desk["sessionId"]: True,
    }
    assert {row["signedInAt"] for row in rows} == {"2027-01-15T08:00:00Z"}
    ended = await api.client.delete(
        f"{BASE}/sessions/{phone['sessionId']}", headers=headers
    )
    assert (ended.status_code, ended.content) == (204, b"")
    assert code_of(await api.secure(phone["accessToken"])) == "token_revoked"
    assert (await api.secure(desk["accessToken"])).status_code == 200
    again = await api.client.delete(
        f"{BASE}/sessions/{phone['sessionId']}", headers=headers
    )
    assert again.status_code == 204  # idempotent


async def test_sessions_come_newest_first_and_page_by_page(api: LocalApi) -> None:
    """More than a page that have expired hide neither the oldest nor the newest."""
    kept = await api.login()
    account_id = await api.id_of("alice")
    options = SessionOptions(client_id="first-party")
    alice = Authenticated.by_password(account_id, at=api.clock())
    for _ in range(limits.LIST_PAGE + 50):
        await api.engine.sessions.start(alice, options)
    api.clock.advance(limits.REFRESH_IDLE - 1)
    renewed = (await api.refresh(kept["refreshToken"])).json()
    api.clock.advance(1000)
    newest = [await api.login() for _ in range(2)]
    wanted = [one["sessionId"] for one in (newest[1], newest[0], renewed)]
    headers = bearer(newest[0]["accessToken"])
    whole = (await api.client.get(f"{BASE}/sessions", headers=headers)).json()
    rows = whole["sessions"]
    assert (sorted(row["id"] for row in rows[:2]), rows[2]["id"]) == (
        sorted(wanted[:2]),
        wanted[2],
    )
    assert [row["current"] for row in rows].count(True) == 1
    assert whole["next"] is None

    paged: list[str] = []
    onward: str | None = ""
    for _ in range(4):
        query = "limit=1" + (f"&after={onward}" if onward else "")
        answer = await api.client.get(f"{BASE}/sessions?{query}", headers=headers)
        page = answer.json()
        assert len(page["sessions"]) <= 1
        paged += [row["id"] for row in page["sessions"]]
        onward = page["next"]
        if onward is None:
            break
    assert paged == [row["id"] for row in rows]
    assert onward is None


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=x", "limit=", "limit=-1", "limit=1e2"),
        *("limit=٣", "limit=00001", "limit=1&limit=2", "after=", "after=x"),
        *("after=00000000-0000-0000-0000-00000000000G", "after=a&after=b"),
    ],
)
async def test_a_page_that_cannot_be_is_a_request_that_is_wrong(
    api: LocalApi, query: str
) -> None:
    headers = bearer((await api.login())["accessToken"])
    answer = await api.client.get(f"{BASE}/sessions?{query}", headers=headers)
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


async def test_nobody_ends_or_sees_another_accounts_session(api: LocalApi) -> None:
    await api.engine.accounts.register("bob", PASSWORD)
    mine, other = await api.login(), await api.login("bob")
    headers = bearer(mine["accessToken"])
    unknown = "00000000-0000-7000-8000-000000000000"
    answers = [
        await api.client.delete(f"{BASE}/sessions/{which}", headers=headers)
        for which in (other["sessionId"], unknown, "x", other["sessionId"].upper())
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert (await api.secure(other["accessToken"])).status_code == 200


async def test_health_needs_nothing_and_readiness_the_store(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.client.get("/healthz")).json() == {"status": "ok"}
    assert (await api.client.get("/readyz")).json() == {"status": "ready"}

    async def down() -> None:
        raise StoreUnavailable

    monkeypatch.setattr(api.engine.stores.backend, "check", down)
    assert (await api.client.get("/healthz")).status_code == 200
    unready = await api.client.get("/readyz")
    assert (unready.status_code, code_of(unready)) == (503, "store_unavailable")
    assert int(unready.headers["retry-after"]) >= 1


async def test_a_feed_that_is_too_old_is_503_and_logs_nobody_out(api: LocalApi) -> None:
    tokens = await api.login()
    watch = api.engine.revocations._monotonic
    assert isinstance(watch, ManualClock)
    watch.advance(limits.FEED_STALE + 1)
    refused = await api.secure(tokens["accessToken"])
    assert (refused.status_code, code_of(refused)) == (503, "store_unavailable")
    assert (await api.client.get("/readyz")).status_code == 503


async def test_the_jwks_is_cacheable_and_told_apart_by_its_etag(api: LocalApi) -> None:
    answer = await api.client.get("/.well-known/jwks.json")
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert len(answer.json()["keys"]) == 2  # the active and the next one
    etag = answer.headers["etag"]
    for requested, status in ((etag, 304), ('"other"', 200), ("", 200)):
        again = await api.client.get(
            "/.well-known/jwks.json", headers={"If-None-Match": requested}
        )
        assert again.status_code == status
        assert again.headers["etag"] == etag
    api.clock.advance(limits.JWKS_MAX_AGE)
    await api.engine.keys.rotate()
    changed = await api.client.get(
        "/.well-known/jwks.json", headers={"If-None-Match": etag}
    )
    assert changed.status_code == 200
    assert len(changed.json()["keys"]) == 3


async def test_what_never_changes_is_made_once(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The OpenAPI document at the start, metadata at its first request."""
    paths = ("/openapi.json", SERVER_PATH, OPENID_PATH, RESOURCE_PATH + BASE)
    first = [(await api.client.get(path)).content for path in paths]

    def remade(*_: object, **__: object) -> NoReturn:
        raise AssertionError("made again")

    monkeypatch.setattr(applications, "document", remade)
    monkeypatch.setattr(metadata, "Metadata", remade)
    monkeypatch.setattr(metadata, "ResourceMetadata", remade)
    make_app(api.engine.settings)
    for path, body in zip(paths, first, strict=True):
        answer = await api.client.get(path)
        assert answer.content == body
        etag = {"If-None-Match": answer.headers["etag"]}
        assert (await api.client.get(path, headers=etag)).status_code == 304


async def test_the_document_is_of_the_routes_and_of_nothing_else(
    api: LocalApi,
) -> None:
    served = (await api.client.get("/openapi.json")).json()
    assert served == msgspec.json.decode(msgspec.json.encode(document(ENDPOINTS)))
    described = {
        (method.upper(), path)
        for path, methods in served["paths"].items()
        for method in methods
    }
    routed: set[tuple[str, str]] = set()
    app: Any = make_app(api.engine.settings)
    for route in app._application.routes:
        routed |= {(m, route.path) for m in route.methods if m != "HEAD"}
    files = ("/", "/openapi.json", "/docs", "/docs/{name}", "/metrics")
    about = {("GET", path) for path in files}
    about |= {
        (one.method, path) for one in ENDPOINTS if one.is_page for path in one.paths
    }
    about |= {("GET", f"/watchword.{kind}") for kind in ("js", "d.ts")}
    # The same documents, for an issuer that has a path.
    known = (SERVER_PATH, OPENID_PATH, RESOURCE_PATH)
    about |= {("GET", f"{path}/{{path:path}}") for path in known}
    about |= {("GET", RESOURCE_PATH)}
    assert described == routed - about
    ids = [m["operationId"] for p in served["paths"].values() for m in p.values()]
    assert len(set(ids)) == len(ids)


async def test_the_document_declares_every_answer_that_we_saw(api: LocalApi) -> None:
    """Each operation names 401 exactly where a bearer or a token can be refused."""
    formats = {one.path: one.error_format.value for one in ENDPOINTS}
    paths = (await api.client.get("/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == [formats[path]]
            if operation.get("security") == [{"bearer": []}]:
                assert {"400", "401", "503"} <= set(operation["responses"])


async def test_the_document_names_the_headers_that_a_caller_needs(
    api: LocalApi,
) -> None:
    """The version of what it changes, and all that a proxy copies."""
    paths = (await api.client.get("/openapi.json")).json()["paths"]
    names = {
        (method, path): set(operation["responses"].get("200", {}).get("headers", ()))
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    for kind in ("accounts/{id}", "clients/{clientId}", "webhooks/{id}"):
        one = f"/api/admin/{kind}"
        assert names["get", one] == names["post", f"{one}/enable"] == {"ETag"}
    forwarded = {"Subject", "Roles", "Session", "Scope"}
    assert names["get", f"{BASE}/forward"] == {f"X-Auth-{one}" for one in forwarded}


async def test_a_server_and_an_app_answer_by_the_same_declarations(
    api: LocalApi,
) -> None:
    """Each at the paths that are declared for it, in the format that is declared.

    So do the hot endpoints, whose errors take another way.
    """
    app = EmbeddedApp(api.engine.settings, lambda: api.engine, lambda _: None)
    app.serve_pages(pages=True)
    async with LocalApi(app, api.engine, api.clock).client as inside:
        for one in ENDPOINTS:
            for declared in one.paths:
                path = re.sub(r"{[\w:]+}", "x", declared)
                server = await api.client.request("TRACE", path)
                assert server.status_code == 405, path
                assert server.headers["content-type"] == one.error_format.value
                embedded = await inside.request("TRACE", path)
                assert (declared in app.paths) == one.is_embedded
                # The server's page has the id that its request has in the log.
                named = f"<code>{server.headers['x-request-id']}</code>"
                said = re.sub(f"<dt>[^<]+</dt><dd>{named}</dd>\\n", "", server.text)
                assert (embedded.text == said) == one.is_embedded
        for one in ENDPOINTS:
            if one.is_hot and one.is_embedded:
                answers = [
                    await client.request(one.method, one.path)
                    for client in (api.client, inside)
                ]
                types = {answer.headers["content-type"] for answer in answers}
                assert types == {one.error_format.value}
                assert len({answer.content for answer in answers}) == 1


GET_ONLY = ("/secure", "/me", "/sessions")
POST_ONLY = ("/login", "/refresh", "/logout", "/logout-all")


@pytest.mark.parametrize(
    "method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "GET"]
)
async def test_another_method_is_405_and_says_which_is_right(
    api: LocalApi, method: str
) -> None:
    for path in POST_ONLY:
        answer = await api.client.request(method, BASE + path)
        assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"
    if method != "GET":
        for path in (*(BASE + path for path in GET_ONLY), "/healthz", "/openapi.json"):
            answer = await api.client.request(method, path)
            assert answer.status_code == 405
            allowed = set(re.split(", *", answer.headers["allow"]))
            assert allowed == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api",
            BASE,
            f"{BASE}/",
            f"{BASE}/secure/",
            f"{BASE}/Login",
            "/metrics",
        ),
        *("/.well-known/webfinger", f"{BASE}/sessions/a/b", "/docs/"),
        *("/.well-known/oauth-authorization-server/a", "/oauth", "/oauth/token/"),
        *("/docs/../secret", "/docs/%2e%2e%2fsecret", "/static/index.html", "/%00"),
    ],
)
async def test_another_path_is_404_and_nobody_is_sent_elsewhere(
    api: LocalApi, path: str
) -> None:
    answer = await api.client.get(path, headers={"Host": "evil.example"})
    assert (answer.status_code, code_of(answer)) == (404, "not_found")
    assert "evil" not in str(answer.headers)


async def test_every_answer_has_the_security_headers(api: LocalApi) -> None:
    tokens = await api.login()
    paths = [
        "/",
        "/healthz",
        "/openapi.json",
        "/docs",
        "/docs/x",
        "/x",
        f"{BASE}/secure",
    ]
    answers: list[httpx2.Response] = [await api.client.get(path) for path in paths]
    answers.append(await api.refresh(tokens["refreshToken"]))
    answers.append(await api.logout(tokens["refreshToken"]))
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["strict-transport-security"].startswith(
            "max-age=63072000"
        )
        assert "set-cookie" not in answer.headers


async def test_no_token_is_stored_by_any_cache(api: LocalApi) -> None:
    tokens = await api.login()
    headers = bearer(tokens["accessToken"])
    for answer in (
        await api.refresh(tokens["refreshToken"]),
        await api.client.get(f"{BASE}/secure", headers=headers),
        await api.client.get(f"{BASE}/me", headers=headers),
        await api.client.get(f"{BASE}/sessions", headers=headers),
        await api.client.get(f"{BASE}/secure"),
        await api.refresh("x"),
        await api.try_login("alice", "wrong"),
        await api.logout_all(tokens["accessToken"]),
    ):
        assert answer.headers["cache-control"] == "no-store"


async def test_head_is_allowed_where_get_is(api: LocalApi) -> None:
    tokens = await api.login()
    answer = await api.client.head(
        f"{BASE}/secure", headers=bearer(tokens["accessToken"])
    )
    assert answer.status_code == 200
