"""The pages that a client sends its user to, by browsers that run no scripts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest_asyncio
from msgspec.structs import replace

from tests.server.clients_at import (
    LOCAL,
    REDIRECT,
    SOURCE,
    VERIFIER,
    add_client,
    ask,
    follow,
    press,
    told,
)
from tests.server.shown import parsed, text_of, with_class
from tests.server.test_factor_pages import App, codes_on, hidden
from tests.server.visiting import ADDRESS, PASSWORD, Browser, Pages, pages_of
from watchword.core import limits
from watchword.core.actor import APP
from watchword.ports.audit import Event, EventType
from watchword.server.page_cookies import INTERACTION_COOKIE
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE
from watchword.testing import ManualClock

ANOTHER: Final = "ada@example.org"
GOOD: Final = {"username": ADDRESS, "password": PASSWORD}
ISSUER: Final = "http://127.0.0.1:8000"
EXPIRED: Final = "This sign-in cannot continue"
ON_THE_WAY: Final = (
    *("/sign-in", "/second-step", "/enrol", "/prove", "/add-app", "/add-passkey"),
    "/consent",
)


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, clock) as opened:
        await add_client(opened)
        yield opened


def card(browser: Browser) -> str:
    (found,) = with_class(parsed(browser.page.text), "card")
    return text_of(found)


def card_of(browser: Browser, title: str) -> str:
    """The card of the account page with this heading."""
    cards = map(text_of, with_class(parsed(browser.page.text), "card"))
    (found,) = [one for one in cards if one.startswith(title)]
    return found


def link(browser: Browser, text: str) -> str:
    links = parsed(browser.page.text).iter("a")
    (found,) = [one.get("href", "") for one in links if text_of(one) == text]
    return str(browser.page.url.join(found))


async def follow_link(browser: Browser, text: str) -> str:
    await browser.get(link(browser, text))
    return await follow(browser)


def is_code(address: str) -> bool:
    found = told(address)
    known = found.get("state") == "a-state" and found.get("iss") == ISSUER
    return address.startswith(f"{REDIRECT}?") and known and "code" in found


def is_no(address: str) -> bool:
    found = told(address)
    return found.get("error") == "access_denied" and found["state"] == "a-state"


async def signed_out(pages: Pages) -> Browser:
    """A browser of a user that has an account and is not signed in."""
    browser = await pages.signed_in()
    await browser.send("/signed-out")
    return browser


async def test_from_the_client_by_the_pages_back_to_it(
    pages: Pages, clock: ManualClock
) -> None:
    """A wrong password, a reload and another language go on; each form may end there.

    The pages say which client asks, for which user, and where it leads.
    """
    browser = await signed_out(pages)
    assert await ask(browser, login_hint=ADDRESS, ui_locales="fr de") == "/sign-in"
    assert browser.shown["username"] == ADDRESS
    assert "weiter zu Tide Tables" in card(browser)
    await browser.get(link(browser, "English"))
    assert "to continue to Tide Tables" in card(browser)
    assert await press(browser, **GOOD | {"password": "wrong"}) == "/sign-in"
    assert browser.page.status_code == 401
    assert browser.page.headers["content-security-policy"].endswith(
        f"; form-action 'self' {SOURCE}"
    )
    await browser.get(str(browser.page.url))
    assert await press(browser, **GOOD) == "/consent"
    for _ in range(2):
        assert browser.heading == "Allow Tide Tables?"
        text = card(browser)
        assert "It returns you to tides.example.org" in text
        assert f"You are signed in here as {ADDRESS}." in text
        assert f"see your e-mail address, {ADDRESS}" in text
        assert browser.page.headers["content-security-policy"].endswith(SOURCE)
        await browser.get(str(browser.page.url))
    # A link at the foot holds for a user that is signed in too.
    await browser.get(link(browser, "Deutsch"))
    assert browser.heading == "Tide Tables Zugriff erlauben?"
    await browser.get(link(browser, "English"))
    at_consent = str(browser.page.url)
    assert is_code(await press(browser, decision="allow"))

    # Back: it is finished, and no second code comes of it.
    for again in (at_consent, at_consent.replace("/consent", "/sign-in")):
        await browser.get(again)
        assert await follow(browser) in {"/consent", "/sign-in"}
        assert browser.page.status_code == 400
        assert browser.heading == EXPIRED
        home = link(browser, "Begin again at Tide Tables")
        assert home == "https://tides.example.org/"
    # Another request needs no page any more; more than was allowed asks again, and
    # a session that is not new proves it first.
    assert is_code(await ask(browser))
    clock.advance(limits.HOUR)
    assert await ask(browser, scope="openid tides:read") == "/prove"
    assert "To continue to Tide Tables" in card(browser)
    assert await press(browser, password="wrong") == "/prove"
    assert await press(browser, password=PASSWORD) == "/consent"
    assert "have the permission tides:read" in card(browser)


async def test_a_user_that_does_not_want_to_goes_back_and_nothing_ends(
    pages: Pages,
) -> None:
    browser = await signed_out(pages)
    await ask(browser)
    assert is_no(await press(browser, step="cancel"))
    await ask(browser)
    assert await press(browser, **GOOD) == "/consent"
    assert is_no(await press(browser, decision="deny"))
    assert await ask(browser) == "/consent"  # signed in, and nothing is allowed
    # What is no answer of the form is none.
    assert await press(browser, decision="maybe") == "/consent"
    assert browser.heading == "Allow Tide Tables?"


async def test_the_answer_is_for_what_the_page_has_shown(pages: Pages) -> None:
    """A client that may have more by the time of the click is asked about once more."""
    browser = await pages.signed_in()
    clients = pages.engine.stores.clients
    assert await ask(browser, scope="openid tides:read tides:write") == "/consent"
    assert "tides:write" not in card(browser)
    before = await clients.load("tides")
    assert before is not None
    after = replace(
        before, scope=("tides:read", "tides:write"), version=before.version + 1
    )
    event = Event(type=EventType.CLIENT_CHANGED, at=pages.api.clock())
    assert await clients.swap(before, after, event)
    assert await press(browser, decision="allow") == "/consent"
    assert "have the permission tides:write" in card(browser)
    # A form that does not say what it has shown allows nothing.
    assert await press(browser, decision="allow", scope="") == "/consent"
    address = await press(browser, decision="allow")
    assert is_code(address)
    account = await pages.engine.accounts.get(ADDRESS)
    (consent,) = await pages.engine.stores.consents.of_account(account.id)
    assert consent.scope == ("openid", "tides:read", "tides:write")


async def test_who_is_somebody_else_says_so(pages: Pages) -> None:
    """From the consent: another user, for whom the first one's form is void."""
    await pages.signed_in(ANOTHER)
    browser = await pages.signed_in()
    assert await ask(browser) == "/consent"
    stale = dict(re.findall(r'name="(form_token)" value="([^"]+)"', browser.page.text))
    at_consent = str(browser.page.url)
    await browser.get(link(browser, "Not you?"))
    # Which session ends stands below the form, and not below "Go on as".
    assert card(browser).index("You may use another name") > card(browser).index(
        "Password"
    )
    assert browser.heading == "Sign in"
    assert f"You are signed in here as {ADDRESS}." in card(browser)
    assert browser.shown["username"] == ""
    assert await follow_link(browser, f"Go on as {ADDRESS}") == "/consent"
    await browser.get(link(browser, "Not you?"))
    assert await press(browser, username=ANOTHER, password=PASSWORD) == "/consent"
    assert f"You are signed in here as {ANOTHER}." in card(browser)
    browser.page = await browser.http.post(
        at_consent, data=stale | {"decision": "allow"}
    )
    assert browser.page.status_code == 403
    assert f"You are signed in here as {ANOTHER}." in card(browser)
    assert is_code(await press(browser, decision="allow"))


async def test_a_client_may_want_the_user_to_sign_in_once_more(
    pages: Pages, clock: ManualClock
) -> None:
    """It is asked once: the new sign-in is enough, also for a second tab."""
    browser = await pages.signed_in()
    await ask(browser)
    assert is_code(await press(browser, decision="allow"))
    for wish in ({"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "60"}):
        clock.advance(2 * limits.MINUTE)
        assert await ask(browser, **wish) == "/sign-in"
        assert "Tide Tables asks you to sign in once more." in card(browser)
        assert browser.shown["username"] == ADDRESS
        assert is_code(await press(browser, **GOOD))
    clock.advance(2 * limits.MINUTE)
    tabs = []
    for _ in range(2):
        assert await ask(browser, prompt="login") == "/sign-in"
        tabs.append(str(browser.page.url))
    assert is_code(await press(browser, **GOOD))
    await browser.get(tabs[0])
    assert is_code(await follow(browser))


async def test_what_was_begun_in_another_browser_signs_nobody_in(pages: Pages) -> None:
    """Nor in none, nor after half an hour, nor by a program that loads ahead."""
    await pages.signed_in()
    eve = pages.browser()
    assert await ask(eve) == "/sign-in"
    query = eve.page.url.query.decode()
    victims = [pages.browser(), pages.browser()]
    await ask(victims[1])  # has a cookie of its own
    for victim in victims:
        for path in ON_THE_WAY:
            await victim.get(f"{path}?{query}")
            assert victim.page.status_code == 400, path
            assert victim.heading == EXPIRED
            # A form of ours, as far as it goes.
            await victim.send("/sign-in")
            await victim.post(f"{path}?{query}", **GOOD, decision="allow")
            assert victim.page.status_code == 400, path
            assert victim.heading == EXPIRED
        assert SIGN_IN_COOKIE not in victim.http.cookies
    await eve.get("/error?error=a+text")
    assert eve.page.status_code == 400
    assert "a text" not in eve.page.text

    ahead = await eve.get(f"/sign-in?{query}", **{"Sec-Purpose": "prefetch"})
    assert ahead.status_code == 503
    assert "retry-after" in ahead.headers
    await eve.get(f"/sign-in?{query}")
    pages.api.clock.advance(limits.INTERACTION_LIFE + limits.MINUTE)
    assert await press(eve, **GOOD) == "/sign-in"
    assert eve.heading == EXPIRED
    assert SIGN_IN_COOKIE not in eve.http.cookies


async def test_a_program_of_the_device_is_asked_about_each_time(pages: Pages) -> None:
    """By one button, whatever was allowed before, and however far it is trusted."""
    await add_client(pages, "cli", redirect_uris=(LOCAL,), trusted=True)
    browser = await pages.signed_in()
    local = LOCAL.replace("127.0.0.1", "127.0.0.1:41234")
    for _ in range(2):
        assert await ask(browser, "cli", redirect_uri=local) == "/consent"
        assert browser.heading == "Continue to Tide Tables?"
        assert "reached at 127.0.0.1" in card(browser)
        policy = browser.page.headers["content-security-policy"]
        assert policy.endswith("form-action 'self' http://127.0.0.1:41234")
        assert (await press(browser, decision="allow")).startswith(f"{local}?code=")
    await ask(browser, "cli", redirect_uri=local)
    assert is_no(await press(browser, decision="deny"))


async def test_a_client_gets_the_second_step_that_it_asks_for(
    pages: Pages, clock: ManualClock
) -> None:
    """Set up on the way by a user that has none; later in one sign-in."""
    await add_client(pages, "vault", trusted=True)
    browser = await pages.signed_in()
    aal2 = {"acr_values": "aal2"}
    clock.advance(6 * limits.MINUTE)
    assert await ask(browser, "vault", **aal2) == "/prove"
    assert await press(browser, password=PASSWORD) == "/add-app"
    assert "Tide Tables asks for a second step" in card(browser)
    app = App(browser.shown["secret"], clock)
    factor = hidden(browser, "factor")
    assert await press(browser, factor=factor, code=app.code()) == "/add-app"
    assert codes_on(browser)
    (form,) = parsed(browser.page.text).iter("form")
    assert form.get("action") == "sign-in"
    await browser.get(f"/sign-in?interaction={hidden(browser, 'interaction')}")
    assert is_code(await follow(browser))

    # The password alone, and the second step in the same sign-in.
    await browser.send("/signed-out")
    assert await ask(browser, "vault") == "/sign-in"
    assert await press(browser, **GOOD) == "/second-step"
    assert "to continue to Tide Tables" in card(browser)
    assert await press(browser, code="000000") == "/second-step"
    at_step = str(browser.page.url)
    assert is_code(await press(browser, code=app.code()))
    await browser.get(at_step)  # back
    await follow(browser)
    assert browser.heading == EXPIRED
    clock.advance(limits.HOUR)
    assert is_code(await ask(browser, "vault", **aal2))


async def test_a_session_by_the_password_alone_proves_its_factor(
    pages: Pages, clock: ManualClock
) -> None:
    """Once: what it goes on with is enough for the client."""
    await add_client(pages, "vault", trusted=True)
    browser = await pages.signed_in()
    account = await pages.engine.accounts.get(ADDRESS)
    (root,) = await pages.engine.sessions.list_of_account(account.id)
    parts = pages.engine.second_factors
    pending = parts.totp.begin(account.id, ADDRESS)
    app = App(pending.secret, clock)
    row, _ = parts.totp.confirmed(account.id, pending.factor, app.code())
    await parts.factors.add(account.id, row, keep_session=root.id, by=APP)

    assert await ask(browser, "vault", acr_values="aal2") == "/prove"
    assert "To continue to Tide Tables" in card(browser)
    await browser.get(link(browser, "Use a recovery code"))
    await browser.get(link(browser, "Use a code from your app"))
    assert await press(browser, way="totp", code="000000") == "/prove"
    at_prove = str(browser.page.url)
    assert is_code(await press(browser, way="totp", code=app.code()))
    await browser.get(at_prove)
    await follow(browser)
    assert browser.heading == EXPIRED
    clock.advance(limits.MINUTE)
    await ask(browser, "vault", acr_values="aal2", prompt="login")
    assert is_no(await press(browser, step="cancel"))


async def test_where_a_second_step_is_demanded_a_new_account_ends_at_the_client(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The interaction goes with the message, and with the set-up behind it."""
    demanded = pages_of(tmp_path, clock, second_factor="required")
    async with demanded as pages:
        await add_client(pages, trusted=True)
        browser = pages.browser()
        await ask(browser)
        await browser.get(link(browser, "Create one"))
        await press(browser, email=ADDRESS, password=PASSWORD)
        code = await pages.code_to(ADDRESS)
        await browser.send("/confirm", token=code, step="confirm")
        assert await follow(browser) == "/enrol"
        assert "to continue to Tide Tables" in card(browser)
        await press(browser, step="app")
        app, factor = App(browser.shown["secret"], clock), hidden(browser, "factor")
        await press(browser, step="confirm-app", factor=factor, code=app.code())
        assert codes_on(browser)
        await browser.get(f"/sign-in?interaction={hidden(browser, 'interaction')}")
        assert is_code(await follow(browser))

        # The mail of an enrolment: its link has no interaction either.
        account = await pages.engine.accounts.get(ADDRESS)
        factors = pages.engine.second_factors.factors
        await factors.reset(account.id, by=APP)
        await ask(browser)
        assert await press(browser, **GOOD) == "/enrol"
        await press(browser, step="send")
        await browser.get("/enrol")
        assert "to continue to Tide Tables" in card(browser)
        token = await pages.code_to(ADDRESS)
        await press(browser, step="app", token=token)
        app, factor = App(browser.shown["secret"], clock), hidden(browser, "factor")
        await press(browser, step="confirm-app", factor=factor, code=app.code())
        await browser.get(f"/sign-in?interaction={hidden(browser, 'interaction')}")
        assert is_code(await follow(browser))


async def test_a_message_leads_back_to_the_client(pages: Pages) -> None:
    """A new account, and a new password: in this browser the client still waits.

    Also with a long request, as long as a code holds its nonce.
    """
    browser = pages.browser()
    await ask(browser, nonce="n" * 2_200)
    await browser.get(link(browser, "Create one"))
    assert await press(browser, email=ADDRESS, password=PASSWORD) == "/register"
    code = await pages.code_to(ADDRESS)
    await browser.send("/confirm", token=code, step="confirm")
    assert browser.page.status_code == 303
    assert await follow(browser) == "/consent"
    assert f"You are signed in here as {ADDRESS}." in card(browser)
    assert is_code(await press(browser, decision="allow"))
    await browser.get("/sign-in")  # nothing waits any more
    assert link(browser, "Go to your account")

    await browser.send("/signed-out")
    await ask(browser)
    await browser.get(link(browser, "Forgot your password?"))
    await press(browser, email=ADDRESS)
    token = await pages.code_to(ADDRESS)
    new = "five other words are longer 42"
    await browser.send("/reset", token=token, step="reset", password=new)
    assert await follow(browser) == "/sign-in"
    assert "to continue to Tide Tables" in card(browser)
    assert is_code(await press(browser, username=ADDRESS, password=new))

    # In another browser the message does what it does without a client.
    await browser.send("/signed-out")
    await ask(browser)
    await browser.get(link(browser, "Create one"))
    await press(browser, email=ANOTHER, password=PASSWORD)
    code = await pages.code_to(ANOTHER)
    phone = pages.browser()
    sent = {"token": code, "step": "confirm", "password": PASSWORD}
    await phone.send("/confirm", **sent)
    assert await follow(phone) == "/account"


async def test_the_account_page_shows_and_withdraws_what_apps_may(
    pages: Pages,
) -> None:
    browser = await pages.signed_in()
    await ask(browser)
    given = {
        "grant_type": "authorization_code",
        "client_id": "tides",
        "code": told(await press(browser, decision="allow"))["code"],
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    answer = await browser.http.post("/oauth/token", data=given)
    tokens = answer.json()
    await browser.get("/account")
    assert "Tide Tables on" in card_of(browser, "Where you are signed in")
    apps = card_of(browser, "Apps that you have allowed")
    assert "Tide Tables" in apps
    assert "see your e-mail address" in apps
    for _ in range(2):  # once more by another tab
        await browser.send("/account", do="withdraw", client="tides")
        await follow(browser)
        assert "has lost what you allowed" in browser.notice
    assert "Tide Tables" not in browser.page.text
    given = {
        "grant_type": "refresh_token",
        "client_id": "tides",
        "refresh_token": tokens["refresh_token"],
    }
    answer = await browser.http.post("/oauth/token", data=given)
    assert answer.json()["error"] == "invalid_grant"
    assert await ask(browser) == "/consent"


async def test_a_wrong_request_is_shown_below_the_right_path(pages: Pages) -> None:
    """Nothing goes to the address; the app is named where it is known."""
    browser = pages.browser()
    for given, code, names in (
        ({"redirect_uri": "https://evil.example.org/"}, "redirect_uri_unknown", True),
        ({"client_id": "nobody"}, "client_unknown", False),
    ):
        await ask(browser, **given)
        assert browser.page.status_code == 400
        assert browser.heading == EXPIRED
        assert ("Tide Tables" in card(browser)) is names
        assert code in card(browser)
        assert "evil" not in browser.page.text
        assert link(browser, "Go to your account").endswith("127.0.0.1/account")
        assert INTERACTION_COOKIE not in browser.http.cookies


async def test_a_client_asks_to_sign_its_user_out(pages: Pages) -> None:
    """The page asks; after it comes the address of the client, or a link to its site.

    A request with a fault ends at a page, and the user is signed out all the same.
    """
    bye = "https://tides.example.org/bye"
    await add_client(pages, "bye", post_logout_redirect_uris=(bye,))
    browser = await signed_out(pages)
    for given, location, says in (
        (f"client_id=bye&post_logout_redirect_uri={bye}&state=s", f"{bye}?state=s", ""),
        ("client_id=bye", "", "Back to Tide Tables"),
        ("", "", "Sign in again"),
        (f"client_id=bye&post_logout_redirect_uri={bye}/else", "", "not registered"),
    ):
        await browser.send("/sign-in", **GOOD)
        await browser.get(f"/oauth/logout?{given}")
        assert browser.heading == "Sign out?"
        assert ("Tide Tables sent you here" in card(browser)) is bool(given)
        policy = browser.page.headers["content-security-policy"]
        assert policy.endswith(SOURCE if location else "'self'")
        await browser.get(link(browser, "Deutsch"))
        assert browser.heading == "Abmelden?"
        assert ("Tide Tables" in card(browser)) is bool(location)
        await browser.get(link(browser, "English"))
        await browser.get(f"/oauth/logout?{given}")
        stay = link(browser, "Stay signed in")
        ticket = hidden(browser, "logout")
        await browser.post("/signed-out", logout=ticket)
        if location:
            assert browser.page.headers["location"] == location
        else:
            assert browser.heading == "You are signed out"
            assert says in card(browser)
        await browser.get(stay)
        assert await follow(browser) == "/sign-in"
