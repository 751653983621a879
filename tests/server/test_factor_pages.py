"""The pages of second factors, by a browser that runs no scripts."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import pyotp
import pytest_asyncio

from tests.authenticator import Authenticator
from tests.server.shown import parsed, text_of, with_class
from tests.server.visiting import ADDRESS, PASSWORD, Browser, Pages, pages_of
from watchword.core import limits
from watchword.core.session import AAL2
from watchword.server.page_cookies import STEP_COOKIE
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE
from watchword.testing import ManualClock

ISSUER: Final = "http://localhost:8000"
NEW: Final = "five other words are longer 42"
WRONG: Final = [
    ("code", "Enter the code that your app shows now. Each code works once.")
]
MISSING: Final = [("code", "Fill in this field")]
PASSKEY: Final = [("", "That passkey was not accepted. Try again, or use another way.")]
EXPIRED: Final = [("", "This took too long. Try again.")]
LATE: Final = 6 * limits.MINUTE


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, clock, issuer=ISSUER) as opened:
        yield opened


def hidden(browser: Browser, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', browser.page.text)
    assert found, browser.page.text
    return unescape(found[1])


def options(browser: Browser) -> Any:
    """What the page asks a passkey with."""
    found = re.search(r'data-options="([^"]*)"', browser.page.text)
    assert found, browser.page.text
    return json.loads(unescape(found[1]))


def went_to(browser: Browser) -> str:
    assert browser.page.status_code == 303, browser.page.text
    return browser.page.headers["location"]


def codes_on(browser: Browser) -> list[str]:
    """The recovery codes of the page that shows them."""
    assert browser.heading == "Keep your recovery codes"
    (shown,) = [
        one for one in parsed(browser.page.text).iter() if one.get("id") == "codes"
    ]
    return [text_of(one) for one in shown.iter("li")]


def listed(browser: Browser) -> list[str]:
    """What stands in the lists of the account page."""
    lists = with_class(parsed(browser.page.text), "list")
    return [text_of(one) for part in lists for one in part.iter("li")]


class App:
    """An authenticator app with a secret, as a page shows it."""

    def __init__(self, secret: str, clock: ManualClock) -> None:
        self._totp = pyotp.TOTP(secret.replace(" ", ""))
        self._clock = clock

    def code(self) -> str:
        """A code that was not shown before."""
        self._clock.advance(limits.TOTP_STEP)
        return self._totp.at(self._clock() // 1000)


async def add_app(browser: Browser, clock: ManualClock) -> tuple[App, list[str]]:
    """Set up an app; with it come the recovery codes, the first time alone."""
    await browser.get("/add-app")
    app = App(browser.shown["secret"], clock)
    factor = hidden(browser, "factor")
    await browser.post("/add-app", factor=factor, code=app.code())
    return app, codes_on(browser)


async def answer(
    key: Authenticator, browser: Browser, path: str, **fields: str
) -> None:
    """Send the form of the page with what a passkey answers to it."""
    asked = options(browser)
    made = (key.create if "rp" in asked else key.get)(asked)
    challenge, credential = hidden(browser, "challenge"), json.dumps(made)
    await browser.post(path, challenge=challenge, credential=credential, **fields)


async def sign_in(browser: Browser, password: str = PASSWORD) -> str:
    """The page that comes after name and password."""
    await browser.send("/sign-in", username=ADDRESS, password=password)
    return went_to(browser)


async def test_after_the_password_comes_the_second_step(
    pages: Pages, clock: ManualClock
) -> None:
    """No session before it; by a code that works once, or by a recovery code."""
    browser = await pages.signed_in()
    await browser.get("/add-app")
    app, secret = App(browser.shown["secret"], clock), browser.shown["secret"]
    factor = hidden(browser, "factor")
    for code, status, faults in (("", 422, MISSING), ("000000", 401, WRONG)):
        await browser.post("/add-app", factor=factor, code=code)
        assert (browser.page.status_code, browser.faults) == (status, faults)
        assert browser.shown["secret"] == secret
    code = app.code()
    await browser.post("/add-app", factor=factor, code=code)
    codes = codes_on(browser)
    assert len(codes) == 10
    await browser.get("/account")
    assert browser.notice.startswith("It is set up.")
    assert "10 left" in " ".join(listed(browser))

    other = pages.browser()
    assert await sign_in(other) == "second-step"
    assert SIGN_IN_COOKIE not in other.http.cookies
    await other.get("/second-step")
    assert other.heading == "Enter your code"
    for wrong, faults in ((code, WRONG), ("", MISSING), ("0x0000", WRONG)):
        await other.post("/second-step", way="totp", code=wrong)
        assert other.faults == faults
    await other.post("/second-step", way="totp", code=app.code())
    assert went_to(other) == "account"
    assert STEP_COOKIE not in other.http.cookies
    await other.get("/second-step")
    assert went_to(other) == "account"

    third = pages.browser()
    await sign_in(third)
    await third.get("/second-step?way=recovery_code")
    assert third.heading == "Use a recovery code"
    typed = codes[0].lower().replace("-", " ")
    await third.post("/second-step", way="recovery_code", recovery_code=typed)
    assert went_to(third) == "account"
    await third.get("/account")
    assert "9 left" in " ".join(listed(third))
    account = await pages.engine.accounts.get(ADDRESS)
    sessions = await pages.engine.sessions.list_of_account(account.id)
    assert {one.acr for one in sessions} == {AAL2}
    await sign_in(third)
    await third.get("/second-step?way=recovery_code")
    await third.post("/second-step", way="recovery_code", recovery_code=typed)
    assert third.page.status_code == 401


async def test_the_second_step_is_for_this_browser_and_for_five_minutes(
    pages: Pages, clock: ManualClock
) -> None:
    browser = await pages.signed_in()
    app, _ = await add_app(browser, clock)
    other = pages.browser()
    await sign_in(other)
    await other.get("/second-step")
    stranger = pages.browser()
    await stranger.get("/second-step")
    assert went_to(stranger) == "sign-in"
    await stranger.get("/sign-in")
    assert "took too long" in stranger.page.text
    await stranger.send("/second-step", way="totp", code=app.code())
    assert went_to(stranger) == "sign-in"

    await other.post("/second-step", step="drop")
    assert went_to(other) == "sign-in"
    assert STEP_COOKIE not in other.http.cookies
    await sign_in(other)
    await other.get("/second-step")
    clock.advance(LATE)
    await other.post("/second-step", way="totp", code=app.code())
    assert went_to(other) == "sign-in"
    # A ticket of this purpose is no other one's, and nonsense is none.
    for path in ("/enrol", "/second-step"):
        other.http.cookies.set(STEP_COOKIE, "ww_ct_nonsense", domain="127.0.0.1")
        answer = await other.get(path)
        assert answer.status_code in {200, 303}


async def test_a_form_of_another_browser_proves_and_adds_nothing(
    pages: Pages, clock: ManualClock
) -> None:
    browser = await pages.signed_in()
    app, _ = await add_app(browser, clock)
    await sign_in(browser)
    ticket = browser.http.cookies[STEP_COOKIE]
    other = pages.browser()
    await other.get("/sign-in")
    for path in ("/second-step", "/prove", "/add-app", "/add-passkey"):
        browser.page = other.page  # its token, with the cookies of this browser
        await browser.post(path, way="totp", step="drop", code=app.code())
        assert browser.page.status_code == (303 if path == "/add-app" else 403)
    assert browser.http.cookies[STEP_COOKIE] == ticket


async def test_too_many_codes_are_a_page_that_says_when_to_go_on(
    pages: Pages, clock: ManualClock
) -> None:
    """Not by continuation: another sign-in gives no other tries."""
    browser = await pages.signed_in()
    await add_app(browser, clock)
    other = pages.browser()
    for _ in range(limits.FACTOR_ACCOUNT_BURST):
        other = pages.browser()
        await sign_in(other)
        await other.get("/second-step")
        await other.post("/second-step", way="totp", code="000000")
        assert other.faults == WRONG
    await other.post("/second-step", way="totp", code="000000")
    assert other.page.status_code == 429
    assert other.faults == [("", "Too many tries. Try again in 1 minute.")]
    assert int(other.page.headers["retry-after"]) > 0


async def test_with_a_factor_a_change_needs_a_recent_proof_of_it(
    pages: Pages, clock: ManualClock
) -> None:
    """Then the user goes on where the change is; no password is asked besides."""
    browser = await pages.signed_in()
    app, _ = await add_app(browser, clock)
    await browser.get("/account")
    (factor,) = set(re.findall(r'name="factor" value="([^"]+)"', browser.page.text))
    changes = {
        "email": {"email": "mara@example.net"},
        "password": {"current_password": PASSWORD, "password": NEW},
        "rename": {"factor": factor, "name": "Phone"},
        "remove": {"factor": factor},
        "new_codes": {},
        "delete": {},
    }
    clock.advance(LATE)
    for do, fields in changes.items():
        await browser.send("/account", do=do, **fields)
        assert went_to(browser).startswith("prove?then=")
    for path in ("add-app", "add-passkey"):
        await browser.get(f"/{path}")
        assert went_to(browser) == f"prove?then={path}"
    await browser.get("/account")
    assert 'href="prove?then=email"' in browser.page.text

    await browser.get("/prove?then=email")
    assert browser.heading == "Prove that it is you"
    for code, faults in (("000000", WRONG), ("", MISSING)):
        await browser.post("/prove?then=email", way="totp", code=code)
        assert browser.faults == faults
    await browser.post("/prove?then=email", way="totp", code=app.code())
    assert went_to(browser) == "account?open=email"
    await browser.get("/account?open=email")
    assert "email-password" not in browser.shown
    for do, fields in changes.items():
        await browser.send("/account", do=do, **fields)
        if do == "new_codes":
            assert browser.page.status_code == 303  # the factor was just removed
        elif do == "delete":
            break
        else:
            assert went_to(browser) == "account", do
    # Without a factor, the password is what is asked for.
    assert browser.faults == [("delete-password", "Fill in this field")]
    clock.advance(LATE)
    await browser.get("/add-app")
    await browser.get(f"/{went_to(browser)}")
    assert browser.heading == "Prove that it is you"
    for password, page in (("wrong", ""), (NEW, "add-app")):
        await browser.post("/prove?then=add-app", way="password", password=password)
        assert browser.page.headers.get("location", "") == page


async def test_recovery_codes_are_made_anew(pages: Pages, clock: ManualClock) -> None:
    browser = await pages.signed_in()
    _, codes = await add_app(browser, clock)
    await browser.send("/account", do="new_codes")
    assert set(codes_on(browser)).isdisjoint(codes)
    name = "x" * 65
    await browser.get("/account")
    factor = hidden(browser, "factor")
    await browser.post("/account", do="rename", factor=factor, name=name)
    assert browser.faults[0][0] == f"name-{factor}"
    assert browser.shown[f"name-{factor}"] == name
    for do in ("rename", "remove"):  # of another account, or of none
        for other in ("", "nonsense", "A" * 26):
            await browser.send("/account", do=do, factor=other, name="mine")
            assert went_to(browser) == "account"


async def test_where_a_factor_is_demanded_the_first_one_needs_the_mailbox(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Right after the link of a registration it follows at once."""
    given = {"issuer": ISSUER, "second_factor": "required"}
    async with pages_of(tmp_path, clock, **given) as pages:
        browser = pages.browser()
        code = await pages.registered(browser)
        await browser.send("/confirm", token=code, step="confirm")
        assert went_to(browser) == "enrol"
        assert SIGN_IN_COOKIE not in browser.http.cookies
        await browser.get("/enrol")
        assert "token" not in browser.shown

        other = pages.browser()
        assert await sign_in(other) == "enrol"
        await other.get("/enrol")
        for token, faulty in (
            ("", "Fill in"),
            ("nonsense", "This code"),
            (code, "This"),
        ):
            await other.post("/enrol", step="app", token=token)
            ((field, words),) = other.faults
            assert (field, words.startswith(faulty)) == ("token", True)
        await other.post("/enrol", step="send")
        assert "on its way" in other.notice
        token = await pages.code_to(ADDRESS)
        await other.post("/enrol", token=token)  # what the script of the page sends
        assert other.shown["token"] == token
        await other.post("/enrol", step="app", token=token)
        app, factor = App(other.shown["secret"], clock), hidden(other, "factor")
        for code, faults in (("", MISSING), ("000000", WRONG)):
            await other.post("/enrol", step="confirm-app", factor=factor, code=code)
            assert other.faults == faults
        await other.post("/enrol", step="confirm-app", factor=factor, code=app.code())
        assert len(codes_on(other)) == 10
        await other.get("/account")
        assert other.heading == "Your account"
        # The last one that is demanded stays, and the page does not say otherwise.
        assert "needs a second step. Add another" in other.page.text
        assert 'value="remove"' not in other.page.text
        factor = hidden(other, "factor")
        await other.post("/account", do="remove", factor=factor)
        ((_, words),) = other.faults
        assert words.startswith("Add another one first")

        # The other browser comes too late with what it has begun.
        await browser.get("/enrol")
        await browser.post("/enrol", step="app")
        app, factor = App(browser.shown["secret"], clock), hidden(browser, "factor")
        await browser.post("/enrol", step="confirm-app", factor=factor, code=app.code())
        assert went_to(browser) == "sign-in"


async def test_the_first_factor_may_be_a_passkey(
    tmp_path: Path, clock: ManualClock
) -> None:
    """And the link of the message is of no use where no sign-in has begun."""
    given = {"issuer": ISSUER, "second_factor": "required"}
    async with pages_of(tmp_path, clock, **given) as pages:
        browser, key = pages.browser(), Authenticator(ISSUER)
        code = await pages.registered(browser)
        await browser.send("/confirm", token=code, step="confirm")
        await browser.get("/enrol")
        for credential in ("", "{}"):
            await browser.post("/enrol", step="passkey")
            challenge = hidden(browser, "challenge")
            sent = {"challenge": challenge, "credential": credential}
            await browser.post("/enrol", step="confirm-passkey", **sent)
            assert len(browser.faults) == 1
        await browser.post("/enrol", step="passkey")
        await answer(key, browser, "/enrol", step="confirm-passkey", label="Key")
        assert len(codes_on(browser)) == 10
        stranger = pages.browser()
        await stranger.get("/enrol")
        assert stranger.heading == "Sign in first"


async def test_a_reset_asks_for_the_factor_in_the_same_form(
    pages: Pages, clock: ManualClock
) -> None:
    """A wrong one spends neither the link nor a code."""
    browser = await pages.signed_in()
    app, codes = await add_app(browser, clock)
    await browser.send("/forgot", email=ADDRESS)
    token = await pages.code_to(ADDRESS)
    await browser.send("/reset", token=token)
    assert browser.heading == "Choose a new password"
    sent = {"step": "reset", "token": token, "password": NEW, "way": "totp"}

    async def send(**fields: str) -> None:
        continuation = hidden(browser, "continuation")
        await browser.post("/reset", **(sent | {"continuation": continuation} | fields))

    await send(code="000000")
    assert browser.faults == WRONG
    await send()
    assert browser.faults == MISSING
    await send(password="short", code=app.code())
    assert browser.faults[0][0] == "password"
    await send(continuation="nonsense", code=app.code())
    assert browser.faults == EXPIRED
    await browser.post("/reset", step="look", token=token, way="recovery_code")
    assert browser.shown["recovery-code"] == ""
    await send(way="recovery_code", recovery_code=codes[0])
    assert went_to(browser) == "sign-in"
    assert await sign_in(pages.browser(), NEW) == "second-step"


async def test_a_passkey_signs_in_proves_and_resets(
    pages: Pages, clock: ManualClock
) -> None:
    """What the module of the pages sends is what the platform's `toJSON()` makes."""
    browser, key = await pages.signed_in(), Authenticator(ISSUER)
    await browser.get("/add-passkey")
    for credential, words in (
        ("", "Passkeys need JavaScript and"),
        ("{", "That passkey"),
        ("[]", "That passkey"),
        ("[" * 9000, "That passkey"),
        ("{}", "That passkey"),
    ):
        challenge = hidden(browser, "challenge")
        await browser.post("/add-passkey", challenge=challenge, credential=credential)
        ((_, said),) = browser.faults
        assert said.startswith(words)
    await browser.get("/add-passkey")
    await answer(key, browser, "/add-passkey", label="Blue\u202e key\n" + "x" * 100)
    assert len(codes_on(browser)) == 10
    await browser.get("/account")
    assert "Passkey “Blue key" in listed(browser)[0]

    other = pages.browser()
    await other.get("/sign-in")
    await answer(key, other, "/sign-in")
    assert went_to(other) == "account"
    await other.get("/sign-in")
    fresh = hidden(other, "challenge")
    for challenge, faults in (("nonsense", EXPIRED), (fresh, PASSKEY)):
        await other.post("/sign-in", challenge=challenge, credential="{}")
        assert other.faults == faults

    await sign_in(other)
    await other.get("/second-step")
    assert other.heading == "Use your passkey"
    await answer(key, other, "/second-step", way="passkey")
    assert went_to(other) == "account"
    clock.advance(LATE)
    await other.get("/prove?then=delete")
    await answer(key, other, "/prove?then=delete", way="passkey")
    assert went_to(other) == "account?open=delete"

    await other.send("/forgot", email=ADDRESS)
    token = await pages.code_to(ADDRESS)
    await other.send("/reset", token=token)
    continuation = hidden(other, "continuation")
    fields = {"step": "reset", "token": token, "password": NEW, "way": "passkey"}
    await answer(key, other, "/reset", continuation=continuation, **fields)
    assert went_to(other) == "sign-in"


async def test_where_passkeys_are_off_no_page_speaks_of_them(
    tmp_path: Path, clock: ManualClock
) -> None:
    async with pages_of(tmp_path, clock) as pages:  # the issuer is an IP address
        browser = await pages.signed_in()
        for path in ("/sign-in", "/account"):
            await browser.get(path)
            assert "passkey" not in browser.page.text.lower(), path
        assert (await browser.get("/add-passkey")).status_code == 404
        await browser.send("/sign-in", challenge="x", credential="{}")
        assert browser.faults == PASSKEY
