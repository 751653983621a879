"""Browser sessions: the cookie, who may use it, and what never touches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scenarios.api import (
    BASE,
    LocalApi,
    bearer,
    code_of,
    local_api,
    settings_for,
)
from tests.scenarios.browser import (
    BY_COOKIE,
    CREDENTIALS,
    NAME,
    OURS,
    SITE,
    Browser,
    cookie_of,
    lives,
    spent_nothing,
)
from watchword.core.limits import DAY, MINUTE
from watchword.errors import StoreUnavailable
from watchword.testing import ManualClock

ISSUER = "https://auth.example"
APP = "https://app.example"
ASKED = {"X-Requested-With": "app"}


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    origins = (APP, "http://localhost:5173")
    settings = settings_for(tmp_path, "memory", cors_origins=origins)
    async with local_api(settings, clock) as opened:
        yield opened


@pytest.fixture
def browser(api: LocalApi) -> Browser:
    return Browser(api)


async def test_the_refresh_token_is_in_the_cookie_and_nowhere_else(
    browser: Browser,
) -> None:
    signed_in = await browser.send("login", BY_COOKIE)
    browser.arrives(signed_in)
    browser.api.clock.advance(MINUTE)
    refreshed = await browser.send("refresh")
    for answer in (signed_in, refreshed):
        body = answer.json()
        assert "refreshToken" not in body
        assert "ww_rt_" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        cookie = cookie_of(answer)
        assert cookie["token"].startswith("ww_rt_")
        assert int(cookie["age"]) == body["refreshExpiresIn"] == 7 * DAY // 1000
        assert len(NAME) + len(cookie["token"]) <= 4096
    assert cookie_of(signed_in)["token"] != cookie_of(refreshed)["token"]


async def test_a_cookie_is_kept_no_longer_than_browsers_do(
    tmp_path: Path, clock: ManualClock
) -> None:
    """400 days (RFC 6265bis), however long the session may last."""
    long = {"refresh_idle": "3000d", "refresh_absolute": "3000d"}
    async with local_api(settings_for(tmp_path, "memory", **long), clock) as api:
        answer = await Browser(api).send("login", BY_COOKIE)
    assert int(cookie_of(answer)["age"]) == 400 * DAY // 1000


FROM_OURS: list[tuple[str | None, str | None]] = [
    ("same-origin", None),
    ("same-origin", ISSUER),
    ("same-origin", "null"),  # a form with Referrer-Policy: no-referrer
    (None, ISSUER),
    (None, None),  # no browser
    ("same-site", APP),
    ("cross-site", APP),
    (None, "http://localhost:5173"),
]
FROM_ELSEWHERE: list[tuple[str | None, str | None]] = [
    ("cross-site", None),
    ("same-site", None),
    ("none", None),
    ("", None),
    ("same-origin, cross-site", None),
    ("cross-site", "null"),
    (None, "null"),
    (None, ""),
    ("same-site", "https://other.auth.example"),
    (None, "https://evil.example"),
    (None, "https://app.example.evil.example"),
    (None, "https://evilapp.example"),
    (None, "https://sub.app.example"),
    (None, "http://app.example"),
    (None, "https://app.example:8443"),
    (None, "https://app.example:443"),
    (None, "https://app.example/"),
    (None, "https://APP.example"),
    (None, f"{APP} {ISSUER}"),
    (None, "http://localhost:5174"),
    (None, "http://auth.example"),
]
PREFLIGHTED = ["X-Requested-With", "Bearer", "DPoP"]
SIMPLE = ["nothing", "Basic", "Content-Type"]


def headers_of(
    site: str | None, origin: str | None, shown: str, access: str
) -> dict[str, str]:
    headers = {"Sec-Fetch-Site": site, "Origin": origin} | {
        "X-Requested-With": {"X-Requested-With": ""},
        "Bearer": bearer(access),
        "DPoP": {"Authorization": f"DPoP {access}"},
        "nothing": {},
        # A browser that has kept a password sends it by itself.
        "Basic": {"Authorization": "Basic YTpi"},
        "Content-Type": {"Content-Type": "text/plain"},
    }[shown]
    return {name: value for name, value in headers.items() if value is not None}


@pytest.mark.parametrize("call", ["refresh", "logout"])
async def test_a_request_of_ours_may_use_the_cookie(
    browser: Browser, call: str
) -> None:
    """A header that needs a preflight, and an origin that is ours or allowed."""
    for site, origin in FROM_OURS:
        for shown in PREFLIGHTED:
            access = (await browser.sign_in())["accessToken"]
            headers = headers_of(site, origin, shown, access)
            answer = await browser.send(call, headers=headers)
            assert code_of(answer) == "ok", headers


@pytest.mark.parametrize("call", ["refresh", "logout"])
async def test_a_request_that_another_site_may_have_caused_changes_nothing(
    browser: Browser, call: str
) -> None:
    """Either half missing is enough to refuse it."""
    access = (await browser.sign_in())["accessToken"]
    table = [(*place, shown) for place in FROM_OURS for shown in SIMPLE]
    table += [(*place, s) for place in FROM_ELSEWHERE for s in PREFLIGHTED + SIMPLE]
    for site, origin, shown in table:
        headers = headers_of(site, origin, shown, access)
        answer = await browser.send(call, headers=headers)
        assert (answer.status_code, code_of(answer)) == (403, "csrf_rejected"), headers
        spent_nothing(answer)
    assert (await browser.api.secure(access)).status_code == 200
    await lives(browser)


@pytest.mark.parametrize("call", ["refresh", "logout"])
@pytest.mark.parametrize(
    "cookie",
    [
        "{0}={1}; {0}={1}",
        "{0}={1}; {0}=",
        "{0}=ww_rt_tossed; a=b; {0}={1}",
        "{0}={1};{0}={1}",
    ],
)
async def test_a_cookie_that_came_twice_is_not_used(
    browser: Browser, call: str, cookie: str
) -> None:
    """Which of them is ours cannot be told (RFC 6265bis §8.6)."""
    await browser.sign_in()
    answer = await browser.send(call, cookie=cookie.format(NAME, browser.jar))
    assert (answer.status_code, code_of(answer)) == (400, "invalid_request")
    spent_nothing(answer)
    await lives(browser)


@pytest.mark.parametrize(
    "cookie",
    [
        "__host-watchword={}",
        "__Secure-watchword={}",
        "watchword={}",
        "a={}; refreshToken={}",
        "__Host-watchword2={}",
        "{}",
    ],
)
async def test_a_cookie_of_another_name_is_none(browser: Browser, cookie: str) -> None:
    """Only what a browser guards by its prefix is ours: a page is signed out then."""
    await browser.sign_in()
    line = cookie.replace("{}", browser.jar)
    assert code_of(await browser.send("refresh", cookie=line)) == "refresh_invalid"
    assert code_of(await browser.send("logout", cookie=line)) == "ok"
    bare = await browser.send("refresh", cookie=line, headers=SITE)
    assert code_of(bare) == "invalid_request"
    await lives(browser)


@pytest.mark.parametrize(
    "value",
    [
        '"{}"',
        "{}x",
        "%22{}%22",
        "{}=",
        "ww_rt_" + "A" * 76,
        "\xff",
        "x" * 10_240,
        "{}" * 100,
        "",
    ],
)
async def test_a_cookie_of_another_shape_is_refused_and_stays(
    browser: Browser, value: str
) -> None:
    """Quotes, junk and 10 KB are no token; logging out with them does nothing."""
    await browser.sign_in()
    line = f"{NAME}={value}".replace("{}", browser.jar)
    raw = {name.encode(): value.encode() for name, value in OURS.items()}
    answer = await browser.api.client.post(
        f"{BASE}/refresh", headers=raw | {b"Cookie": line.encode("latin-1")}
    )
    assert (answer.status_code, code_of(answer)) == (401, "refresh_invalid")
    spent_nothing(answer)
    await lives(browser)


async def test_spaces_and_neighbours_do_not_matter(browser: Browser) -> None:
    await browser.sign_in()
    line = f"a=b;  {NAME}={browser.jar} ; c; =d; {NAME}x=1"
    assert code_of(await browser.send("refresh", cookie=line)) == "ok"


async def test_a_cookie_sessions_token_works_nowhere_but_in_its_cookie(
    browser: Browser,
) -> None:
    """Who got hold of it has to be a browser; and nothing is spent by trying."""
    api = browser.api
    await browser.sign_in()
    for body in (browser.jar, {"refreshToken": browser.jar}):
        answer = await browser.send("refresh", body)
        assert (answer.status_code, code_of(answer)) == (401, "refresh_invalid")
        spent_nothing(answer)
    form = {"grant_type": "refresh_token", "refresh_token": browser.jar}
    headers = OURS | {"Cookie": f"{NAME}={browser.jar}"}
    refused = await api.client.post(
        "/oauth/token", data=form | {"client_id": "first-party"}, headers=headers
    )
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    spent_nothing(refused)
    await lives(browser)


async def test_a_body_sessions_token_does_not_work_in_a_cookie(
    browser: Browser,
) -> None:
    """Planted there, it would sign a victim in as somebody else."""
    tokens = await browser.api.login()
    browser.jar = tokens["refreshToken"]
    answer = await browser.send("refresh")
    assert (answer.status_code, code_of(answer)) == (401, "refresh_invalid")
    spent_nothing(answer)
    assert code_of(await browser.api.refresh(tokens["refreshToken"])) == "ok"


async def test_a_page_with_tokens_of_its_own_is_not_hindered_by_a_cookie(
    browser: Browser,
) -> None:
    """Another app of the same origin keeps its cookie, and this one its tokens."""
    await browser.sign_in()
    mine = (await browser.send("login", CREDENTIALS, headers=SITE)).json()
    body = {"refreshToken": mine["refreshToken"]}
    refreshed = await browser.send("refresh", body, headers=SITE)
    assert "set-cookie" not in refreshed.headers
    mine = refreshed.json()
    headers = SITE | bearer(mine["accessToken"])
    answer = await browser.send("logout", headers=headers)
    assert code_of(answer) == "ok"
    assert not {"set-cookie", "clear-site-data"} & answer.headers.keys()
    assert code_of(await browser.api.secure(mine["accessToken"])) == "token_revoked"
    body = {"refreshToken": (await browser.api.login())["refreshToken"]}
    answer = await browser.send("logout", body, headers=SITE)
    assert not {"set-cookie", "clear-site-data"} & answer.headers.keys()
    await lives(browser)


@pytest.mark.parametrize("bearing", ["nothing", "its own", "a stale one", "another's"])
async def test_logout_ends_the_session_and_empties_the_browser(
    browser: Browser, bearing: str
) -> None:
    """Whatever the page's interceptor put beside the cookie."""
    tokens = await browser.sign_in()
    other = await browser.api.login()
    given = {
        "nothing": {},
        "its own": bearer(tokens["accessToken"]),
        "a stale one": bearer("a.b.c"),
        "another's": bearer(other["accessToken"]),
    }[bearing]
    token = browser.jar
    answer = await browser.logout(headers=OURS | given)
    assert answer.json() == {"message": "Logged out successfully"}
    assert cookie_of(answer) == {"token": "", "age": "0"}
    assert answer.headers["clear-site-data"] == '"cookies", "storage"'
    assert browser.jar == ""
    assert code_of(await browser.api.secure(tokens["accessToken"])) == "token_revoked"
    late = await browser.send("refresh", cookie=f"{NAME}={token}")
    assert code_of(late) == "session_revoked"
    ended = code_of(await browser.api.secure(other["accessToken"]))
    assert ended == ("token_revoked" if bearing == "another's" else "ok")
    assert code_of(await browser.logout()) == "ok"


async def test_logout_by_the_access_token_of_the_cookies_session_forgets_the_cookie(
    browser: Browser,
) -> None:
    """Though the page did not say that it means the cookie: it is of that session."""
    tokens = await browser.sign_in()
    answer = await browser.logout(headers=SITE | bearer(tokens["accessToken"]))
    assert cookie_of(answer)["token"] == ""
    assert "clear-site-data" in answer.headers


@pytest.mark.parametrize(
    "code",
    ["refresh_reused", "session_revoked", "session_expired", "store_unavailable"],
)
async def test_an_error_never_touches_the_cookie(
    browser: Browser, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer may be a late one, and the jar hold a better cookie by now."""
    await browser.sign_in()
    spent = browser.jar
    await lives(browser)
    browser.api.clock.advance(MINUTE)
    if code == "refresh_reused":
        browser.jar = spent
    elif code == "session_revoked":
        await browser.send("logout")
    elif code == "session_expired":
        browser.api.clock.advance(8 * DAY)
    else:

        async def broken(*_: object) -> object:
            raise StoreUnavailable

        monkeypatch.setattr(browser.api.engine.stores.sessions, "load", broken)
    answer = await browser.send("refresh")
    assert code_of(answer) == code
    spent_nothing(answer)


async def test_a_cookie_opens_nothing_but_refresh_and_logout(browser: Browser) -> None:
    await browser.sign_in()
    headers = OURS | {"Cookie": f"{NAME}={browser.jar}"}
    client = browser.api.client
    for method, path in [
        ("GET", "/secure"),
        ("GET", "/me"),
        ("GET", "/sessions"),
        ("POST", "/logout-all"),
    ]:
        answer = await client.request(method, f"{BASE}{path}", headers=headers)
        assert code_of(answer) == "token_missing"
    for path in ("refresh", "logout", "login"):
        answer = await client.get(f"{BASE}/{path}", headers=headers)
        assert code_of(answer) == "method_not_allowed"
    await lives(browser)
