"""/oauth/authorize over HTTP: the way to a code, and what is refused on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio

from tests.core.redirect_uris import VARIANTS
from tests.scenarios.api import PASSWORD
from tests.server.relying import (
    Party,
    answer_in,
    claims_in,
    code_in,
    follow,
    outcome_of,
    party,
    root_of,
    sign_in,
    signed_in,
)
from tests.server.visiting import Pages, pages_of
from watchword.core.actor import EndReason
from watchword.core.limits import HOUR, INTERACTION_LIFE, MINUTE, SECOND
from watchword.testing import ManualClock

ISSUER = "http://127.0.0.1:8000"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, clock) as opened:
        yield opened


@pytest_asyncio.fixture
async def app(pages: Pages) -> Party:
    return await party(pages, scope=["notes"])


async def test_a_user_signs_in_on_the_way_and_the_next_app_asks_nothing(
    pages: Pages, app: Party
) -> None:
    browser = pages.browser()
    answer = await browser.get(app.address(scope="openid notes unknown"))
    assert answer.headers["location"].startswith("../sign-in?interaction=ww_in_")
    set_cookie = answer.headers["set-cookie"]
    assert set_cookie.startswith("__Host-watchword-interaction=")
    assert set_cookie.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=1800")
    await sign_in(browser, "wrong")
    assert browser.page.status_code == 401
    sent = answer_in(await sign_in(browser))
    assert {**sent, "code": ""} == {"code": "", "state": "s t&=ä", "iss": ISSUER}
    assert browser.page.headers["cache-control"] == "no-store"
    tokens = (await app.redeem(sent["code"])).json()
    assert tokens["scope"] == "openid notes"
    assert claims_in(tokens["id_token"])["nonce"] == "n"
    other = await party(pages, "other", confidential=True)
    again = await other.tokens(browser)
    subjects = {claims_in(one["id_token"])["sub"] for one in (tokens, again)}
    assert len(subjects) == 1


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({}, "code"),
        ({"unknown": ["1", "2"], "display": "popup", "claims": "{}"}, "code"),
        ({"response_mode": "query", "nonce": None, "state": None}, "code"),
        ({"scope": None}, "code"),
        ({"client_id": None}, "400"),
        ({"client_id": "unknown"}, "400"),
        ({"client_id": "_pages"}, "400"),
        ({"client_id": ["app", "app"]}, "400"),
        ({"redirect_uri": None}, "400"),
        ({"redirect_uri": ["https://app.example/cb"] * 2}, "400"),
        ({"state": ["a", "b"]}, "invalid_request"),
        ({"scope": ["openid", "openid"]}, "invalid_request"),
        ({"id_token_hint": ["a", "b"]}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"code_challenge": None}, "invalid_request"),
        ({"id_token_hint": "foreign"}, "invalid_request"),
        ({"acr_values": "aal2", "prompt": "none"}, "interaction_required"),
        ({"acr_values": "aal2"}, "add-app"),
        ({"prompt": "login"}, "sign-in"),
        ({"prompt": "consent"}, "consent"),
        ({"state": "s" * 9000}, "400"),
        ({"prompt": "login", "state": "s" * 4000}, "invalid_request"),
        ({"state": "s" * 4000}, "code"),
        ({"state": "\x00\r\n\x7f\u2028"}, "code"),
    ],
)
async def test_each_parameter_is_taken_ignored_or_refused(
    pages: Pages, app: Party, changed: dict[str, Any], outcome: str
) -> None:
    browser = await signed_in(pages)
    pages.api.clock.advance(SECOND)
    answer = await browser.get(app.address(**changed))
    assert outcome_of(answer) == outcome
    if answer.status_code == 303 and "://" in answer.headers["location"]:
        sent = answer_in(answer)
        assert sent["iss"] == ISSUER  # RFC 9207: with errors too
        given = app.request(**changed).get("state")
        assert sent.get("state") == (None if isinstance(given, list) else given)
        assert not set(sent.get("error_description", "")) & set('"\\')
    if outcome == "400":
        assert "location" not in answer.headers
        assert "<h1>" in answer.text


async def test_no_variant_of_a_redirect_uri_gets_anything(pages: Pages) -> None:
    """Open redirects: the answer is a page, with and without a sign-in."""
    browser = await signed_in(pages)
    stranger = pages.browser("127.0.0.2")
    for number, uri in enumerate(dict.fromkeys(one for one, _ in VARIANTS)):
        made = await party(pages, f"app{number}", redirect_uris=[uri])
        given = [bad for good, bad in VARIANTS if good == uri]
        for bad in [*given, "https://evil.example/", "javascript:alert(1)"]:
            for visitor in (browser, stranger):
                answer = await visitor.get(made.address(redirect_uri=bad))
                shown = (answer.status_code, "location" in answer.headers)
                assert shown == (400, False), bad


async def test_the_query_of_a_redirect_uri_is_kept(pages: Pages) -> None:
    browser = await signed_in(pages)
    uri = "https://app.example/cb?tenant=a%20b&x"
    app = await party(pages, redirect_uris=[uri])
    answer = await browser.get(app.address(redirect_uri=uri))
    assert answer.headers["location"].startswith(f"{uri}&code=ww_ac_")


async def test_a_post_comes_back_by_get_and_nothing_is_redirected_by_host(
    pages: Pages, app: Party
) -> None:
    """A browser sends no Lax cookie with a POST of another site."""
    browser = await signed_in(pages)
    cross = {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example"}
    for form in (app.request(), app.request(state=["a", "b"])):
        answer = await browser.http.post(
            "/oauth/authorize", data=form, headers={**cross, "Host": "evil.example"}
        )
        query = urlencode(form, doseq=True)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"authorize?{query}"
        browser.page = answer
    assert outcome_of(await follow(browser)) == "invalid_request"
    for body, status in ((b"\xff", 400), (b"a=%ff", 400), (b"s=" + b"x" * 9000, 400)):
        answer = await browser.http.post(
            "/oauth/authorize",
            content=body,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code == status
    assert (await browser.http.post("/oauth/authorize")).status_code == 415


async def test_a_look_ahead_spends_nothing(pages: Pages, app: Party) -> None:
    browser = await signed_in(pages)
    pushed = (await app.push()).json()["request_uri"]
    address = f"/oauth/authorize?client_id=app&request_uri={quote(pushed)}"
    for purpose in ("prefetch", "prefetch;prerender"):
        answer = await browser.get(address, **{"Sec-Purpose": purpose})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "set-cookie" not in answer.headers
    answer = await browser.http.head(address)
    assert (answer.status_code, "location" in answer.headers) == (204, False)
    assert outcome_of(await browser.get(address)) == "code"


# Interactions.


async def test_an_interaction_belongs_to_the_browser_that_began_it(
    pages: Pages, app: Party
) -> None:
    """Login CSRF: a link begun in one browser signs nobody in at another."""
    attacker, victim = pages.browser(), pages.browser("127.0.0.2")
    await attacker.get(app.address())
    link = attacker.page.headers["location"].removeprefix("..")
    assert (await victim.get(link)).status_code == 400
    # With a cookie of its own neither, nor signed in.
    await victim.get(app.address())
    assert (await victim.get(link)).status_code == 400
    known = await signed_in(pages, "127.0.0.3")
    assert (await known.get(link)).status_code == 400
    # A form of its own page, sent to the address of the other's.
    await victim.get(app.address())
    await follow(victim)
    fields = {"username": "alice", "password": PASSWORD}
    answer = await victim.post(link, **fields)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "__Host-watchword-sign-in" not in victim.http.cookies
    # Two cookies of that name: another site has set one.
    value = attacker.http.cookies["__Host-watchword-interaction"]
    name = "__Host-watchword-interaction"
    answer = await pages.browser("127.0.0.4").get(
        link, Cookie=f"{name}={value}; {name}={value}"
    )
    assert answer.status_code == 400


async def test_two_tabs_go_their_ways_and_each_request_grants_once(
    pages: Pages, app: Party, clock: ManualClock
) -> None:
    browser = pages.browser()
    links = []
    for state in ("one", "two"):
        answer = await browser.get(app.address(state=state))
        links.append(answer.headers["location"].removeprefix(".."))
    for _ in range(2):  # a reload
        assert (await browser.get(links[0])).status_code == 200
    await sign_in(browser)
    assert answer_in(browser.page)["state"] == "one"
    # Back, and again: it was granted.
    assert (await browser.get(links[0])).status_code == 400
    # The other tab finds its user signed in.
    assert answer_in(await browser.get(links[1]))["state"] == "two"
    clock.advance(SECOND)
    await browser.get(app.address(prompt="login"))
    late = browser.page.headers["location"].removeprefix("..")
    clock.advance(INTERACTION_LIFE + SECOND)
    assert (await browser.get(late)).status_code == 400


async def test_a_client_that_changed_meanwhile_gets_nothing(
    pages: Pages, app: Party
) -> None:
    browser = pages.browser()
    clients = pages.engine.clients
    await browser.get(app.address())
    await follow(browser)
    await clients.update(app.id, remove_redirect_uris=[app.uri])
    answer = await sign_in(browser)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    await clients.update(app.id, add_redirect_uris=[app.uri])
    await clients.disable(app.id)
    assert (await browser.get(app.address())).status_code == 400


@pytest.mark.parametrize("change", ["ended", "disabled", "deleted", "password"])
async def test_no_code_comes_of_a_sign_in_that_is_over(
    pages: Pages, app: Party, change: str
) -> None:
    browser = await signed_in(pages)
    engine, root = pages.engine, await root_of(pages)
    if change == "ended":  # in another tab
        await engine.sessions.end_one(root.id, EndReason.LOGOUT)
    elif change == "disabled":
        await engine.accounts.disable(root.account_id)
    elif change == "deleted":
        await engine.accounts.delete(root.account_id)
    else:
        await engine.accounts.set_password(root.account_id, "another pass phrase 42")
    assert outcome_of(await browser.get(app.address())) == "sign-in"
    silent = await browser.get(app.address(prompt="none"))
    assert outcome_of(silent) == "login_required"


async def test_a_code_of_one_client_is_worth_nothing_to_another(
    pages: Pages, app: Party
) -> None:
    """Mix-up: neither with its own redirect URI nor with that of the other."""
    browser = await signed_in(pages)
    code = code_in(await browser.get(app.address()))
    other = await party(pages, "other")
    for uri in (app.uri, other.uri):
        answer = await other.redeem(code, redirect_uri=uri)
        assert answer.json()["error"] == "invalid_grant"
    # It was not ended by that.
    assert (await app.redeem(code)).status_code == 200


# How fresh and how strong a sign-in has to be.


@pytest.mark.parametrize(
    ("age", "changed", "outcome"),
    [
        (0, {"max_age": "0"}, "code"),  # met by a sign-in of this millisecond
        (SECOND, {"max_age": "0"}, "sign-in"),
        (MINUTE, {"max_age": "60"}, "code"),
        (MINUTE + SECOND, {"max_age": "60"}, "sign-in"),
        (MINUTE + SECOND, {"max_age": "60", "prompt": "none"}, "login_required"),
        (SECOND, {"prompt": "none"}, "code"),
        (SECOND, {"prompt": "login"}, "sign-in"),
        (SECOND, {"prompt": "select_account"}, "sign-in"),
        (SECOND, {"acr_values": "urn:unknown"}, "code"),
        (SECOND, {"acr_values": "aal1 aal2"}, "code"),
        (11 * HOUR, {}, "code"),
        (13 * HOUR, {}, "sign-in"),
        (13 * HOUR, {"prompt": "none"}, "login_required"),
    ],
)
async def test_prompt_and_max_age(
    pages: Pages, app: Party, age: int, changed: dict[str, Any], outcome: str
) -> None:
    browser, clock = await signed_in(pages), pages.api.clock
    clock.advance(age)
    assert outcome_of(await browser.get(app.address(**changed))) == outcome
    if outcome == "sign-in":  # and a sign-in meets it: no page asks again
        clock.advance(MINUTE)
        assert outcome_of(await sign_in(browser)) == "code"


async def test_a_session_that_would_end_at_once_is_not_begun(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with pages_of(tmp_path, clock, refresh_absolute="1h") as pages:
        app = await party(pages)
        browser = await signed_in(pages)
        clock.advance(HOUR - MINUTE)
        assert outcome_of(await browser.get(app.address())) == "code"
        clock.advance(SECOND)
        assert outcome_of(await browser.get(app.address())) == "sign-in"
        assert outcome_of(await sign_in(browser)) == "code"


async def test_a_hint_is_of_the_user_that_is_wanted(pages: Pages, app: Party) -> None:
    browser = await signed_in(pages)
    hint = (await app.tokens(browser))["id_token"]
    assert outcome_of(await browser.get(app.address(id_token_hint=hint))) == "code"
    await pages.engine.accounts.register("bob", PASSWORD)
    other = pages.browser("127.0.0.2")
    await other.get(app.address(id_token_hint=hint))
    await follow(other)
    fields = {"username": "bob", "password": PASSWORD}
    answer = await other.post(str(other.page.url), **fields)
    assert outcome_of(answer) == "login_required"
    pages.api.clock.advance(SECOND)
    again = await other.get(app.address(id_token_hint=hint))
    assert outcome_of(again) == "sign-in"
    silent = await other.get(app.address(id_token_hint=hint, prompt="none"))
    assert outcome_of(silent) == "login_required"


# Consent.


async def test_consent_is_asked_for_once_and_again_for_more(
    pages: Pages, clock: ManualClock
) -> None:
    app = await party(pages, trusted=False, scope=["notes"])
    browser = await signed_in(pages)
    silent = await browser.get(app.address(prompt="none"))
    assert outcome_of(silent) == "consent_required"
    assert outcome_of(await browser.get(app.address())) == "consent"
    await follow(browser)
    here = str(browser.page.url)
    assert outcome_of(await browser.post(here, decision="deny")) == "access_denied"
    await browser.get(here)
    assert outcome_of(await browser.post(here, decision="allow")) == "code"
    assert (await app.redeem(code_in(browser.page))).status_code == 200
    assert outcome_of(await browser.get(app.address())) == "code"
    wider = app.address(scope="openid notes")
    assert outcome_of(await browser.get(wider)) == "consent"
    # More is allowed only by a user that was there a moment ago.
    clock.advance(15 * MINUTE + SECOND)
    assert outcome_of(await browser.get(app.address())) == "code"
    assert outcome_of(await browser.get(wider)) == "prove"
    await follow(browser)
    await browser.post(str(browser.page.url), password=PASSWORD)
    assert outcome_of(browser.page) == "consent"
    await follow(browser)
    await browser.post(str(browser.page.url), decision="allow")
    granted = (await app.redeem(code_in(browser.page))).json()["scope"]
    assert granted == "openid notes"


async def test_a_use_of_a_consent_is_written_once_an_hour(
    pages: Pages, clock: ManualClock
) -> None:
    app = await party(pages, trusted=False)
    browser = await signed_in(pages)
    await browser.get(app.address())
    await follow(browser)
    await browser.post(str(browser.page.url), decision="allow")
    ages = []
    for _ in range(3):
        clock.advance(40 * MINUTE)
        assert outcome_of(await browser.get(app.address())) == "code"
        account = await pages.engine.accounts.get("alice")
        (row,) = await pages.engine.stores.consents.of_account(account.id)
        ages.append((clock() - row.used_at) // MINUTE)
    assert ages == [40, 0, 40]


async def test_a_consent_is_shown_and_withdrawn_with_its_sessions(pages: Pages) -> None:
    app = await party(pages, trusted=False, name="The App")
    browser = await signed_in(pages)
    await browser.get(app.address())
    await follow(browser)
    await browser.post(str(browser.page.url), decision="allow")
    tokens = (await app.redeem(code_in(browser.page))).json()
    on_its_way = code_in(await browser.get(app.address()))
    api = pages.api
    owner = {"authorization": f"Bearer {(await api.login())['accessToken']}"}
    (row,) = (await api.client.get("/api/auth/consents", headers=owner)).json()[
        "consents"
    ]
    assert (row["clientId"], row["name"]) == ("app", "The App")
    assert (row["scope"], row["resources"]) == ("openid", [])
    one = await api.client.get("/api/auth/consents/app", headers=owner)
    assert one.json() == row
    # The tokens of the app itself do not reach it.
    theirs = {"authorization": f"Bearer {tokens['access_token']}"}
    path = "/api/auth/consents/app"
    assert (await api.client.delete(path, headers=theirs)).status_code == 403
    assert (await api.client.delete(path, headers=owner)).status_code == 204
    for gone in (path, "/api/auth/consents/_pages", "/api/auth/consents/a b"):
        assert (await api.client.delete(gone, headers=owner)).status_code == 404
        assert (await api.client.get(gone, headers=owner)).status_code == 404
    refreshed = await app.post(
        "/oauth/token",
        grant_type="refresh_token",
        refresh_token=tokens["refresh_token"],
    )
    assert refreshed.json()["error"] == "invalid_grant"
    late = await app.redeem(on_its_way)
    assert late.json()["error"] == "invalid_grant"
    assert outcome_of(await browser.get(app.address())) == "consent"


async def test_a_program_on_the_machine_is_always_asked_about(pages: Pages) -> None:
    """RFC 8252 §8.6: whatever is trusted, and whatever was allowed before."""
    app = await party(pages, redirect_uris=["http://127.0.0.1/cb"])
    app.uri = "http://127.0.0.1:4711/cb"
    browser = await signed_in(pages)
    for _ in range(2):
        assert outcome_of(await browser.get(app.address())) == "consent"
        await follow(browser)
        answer = await browser.post(str(browser.page.url), decision="allow")
        assert answer.headers["location"].startswith(f"{app.uri}?code=")
        assert (await app.redeem(code_in(answer))).status_code == 200
    silent = await browser.get(app.address(prompt="none"))
    assert outcome_of(silent) == "interaction_required"
