"""The pages of accounts: what each form is refused for, and by whom it may be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.scenarios.api import PASSWORD as ALICES
from tests.server.visiting import ADDRESS, PASSWORD, Browser, Pages, pages_of
from watchword.core.actor import APP, EndReason
from watchword.core.limits import CONFIRM_BURST, THROTTLE_NAME_BURST
from watchword.core.session import as_text
from watchword.errors import SettingsError
from watchword.server.app import make_app
from watchword.server.csrf import FORM_COOKIE
from watchword.server.page_cookies import HANDLES_COOKIE, HANDLES_MAX, NOTICE_COOKIE
from watchword.server.pages.devices import browser_of, system_of
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE
from watchword.testing import ManualClock

MISSING: Final = "Fill in this field"
WRONG: Final = "This is not the password of the account"
TOGETHER: Final = "That name and password do not go together."
SPENT: Final = "This link was used or has run out."
STALE: Final = "The page was open for too long, or this browser keeps no cookies."
EVERY: Final = (
    *("/sign-in", "/signed-out", "/register", "/confirm", "/forgot", "/reset"),
    "/account",
)
GOOD: Final = {"email": ADDRESS, "password": PASSWORD}


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    async with pages_of(tmp_path, clock) as opened:
        yield opened


# What is wrong in a form


@pytest.mark.parametrize(
    ("path", "fields", "status", "faults"),
    [
        ("/sign-in", {}, 422, [("username", MISSING), ("password", MISSING)]),
        ("/sign-in", {"username": "mara"}, 422, [("password", MISSING)]),
        (
            "/sign-in",
            {"username": "mara", "password": "wrong"},
            401,
            [("username", TOGETHER)],
        ),
        # A name that no account can have.
        (
            "/sign-in",
            {"username": "a\u202eb", "password": "wrong"},
            401,
            [("username", TOGETHER)],
        ),
        ("/register", {}, 422, [("email", MISSING), ("password", MISSING)]),
        ("/register", GOOD | {"email": "mara@"}, 400, [("email", "Enter a full")]),
        ("/register", GOOD | {"username": "a b"}, 400, [("username", "Use another")]),
        ("/register", GOOD | {"username": "admin"}, 400, [("username", "Use another")]),
        (
            "/register",
            GOOD | {"password": "short"},
            422,
            [("password", "Use at least")],
        ),
        ("/forgot", {}, 422, [("email", MISSING)]),
        ("/forgot", {"email": "mara"}, 400, [("email", "Enter a full")]),
        ("/confirm", {}, 422, [("token", MISSING)]),
        ("/confirm", {"token": "nonsense"}, 400, [("token", SPENT)]),
        ("/confirm", {"token": "nonsense", "step": "confirm"}, 400, [("token", SPENT)]),
        ("/reset", {}, 422, [("token", MISSING)]),
        ("/reset", {"token": "nonsense", "step": "reset"}, 400, [("token", SPENT)]),
    ],
)
async def test_a_form_says_what_is_wrong_with_it(
    pages: Pages,
    path: str,
    fields: dict[str, str],
    status: int,
    faults: list[tuple[str, str]],
) -> None:
    """At its field, with what was typed in it, but for passwords."""
    browser = pages.browser()
    answer = await browser.send(path, **fields)
    assert answer.status_code == status
    found = browser.faults
    assert [field for field, _ in found] == [field for field, _ in faults]
    for (_, words), (_, begin) in zip(found, faults, strict=True):
        assert words.startswith(begin)
    for name in {"username", "email"} & fields.keys():
        assert browser.shown[name] == fields[name]
    assert "wrong" not in answer.text.replace("is wrong", "")
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("fields", "status", "faults"),
    [
        (
            {"do": "email"},
            422,
            [("email", MISSING), ("email-password", MISSING)],
        ),
        (
            {"do": "email", "email": "new@example.org", "current_password": "no"},
            401,
            [("email-password", WRONG)],
        ),
        (
            {"do": "email", "email": "new@", "current_password": PASSWORD},
            400,
            [("email", "Enter a full")],
        ),
        (
            {"do": "password"},
            422,
            [("current-password", MISSING), ("password", MISSING)],
        ),
        (
            {"do": "password", "current_password": "no", "password": ALICES},
            401,
            [("current-password", WRONG)],
        ),
        (
            {"do": "password", "current_password": PASSWORD, "password": "short"},
            422,
            [("password", "Use at least")],
        ),
        ({"do": "delete"}, 422, [("delete-password", MISSING)]),
        (
            {"do": "delete", "current_password": "no"},
            401,
            [("delete-password", WRONG)],
        ),
    ],
)
async def test_a_form_of_the_account_says_what_is_wrong_with_it(
    pages: Pages, fields: dict[str, str], status: int, faults: list[tuple[str, str]]
) -> None:
    """In the form that was sent, which is open then."""
    browser = await pages.signed_in()
    before = await pages.engine.stores.accounts.by_email(ADDRESS)
    answer = await browser.send("/account", **fields)
    assert answer.status_code == status
    found = browser.faults
    assert [field for field, _ in found] == [field for field, _ in faults]
    for (_, words), (_, begin) in zip(found, faults, strict=True):
        assert words.startswith(begin)
    assert answer.text.count('<details class="disclose" open>') == 1
    assert await pages.engine.stores.accounts.by_email(ADDRESS) == before


async def test_an_address_that_is_another_accounts_is_refused_to_a_user(
    pages: Pages,
) -> None:
    await pages.signed_in("first@example.org")
    browser = await pages.signed_in()
    fields = {"email": "first@example.org", "current_password": PASSWORD}
    answer = await browser.send("/account", do="email", **fields)
    assert answer.status_code == 409
    assert browser.faults[0][0] == "email"


async def test_a_deleted_account_leaves_no_sign_in_behind(pages: Pages) -> None:
    browser = await pages.signed_in()
    answer = await browser.send("/account", do="delete", current_password=PASSWORD)
    assert answer.headers["location"] == "sign-in"
    assert SIGN_IN_COOKIE not in browser.http.cookies


async def test_the_last_admin_is_not_deleted(pages: Pages) -> None:
    browser = await pages.signed_in()
    account = await pages.engine.accounts.get(ADDRESS)
    await pages.engine.accounts.set_roles(account.id, ["admin"])
    answer = await browser.send("/account", do="delete", current_password=PASSWORD)
    assert answer.status_code == 409
    assert "Give another account the role admin first" in browser.faults[0][1]
    assert (await browser.get("/account")).status_code == 200


# Forms of others


@pytest.mark.parametrize("path", EVERY)
async def test_a_form_that_is_not_of_this_browser_comes_back_and_does_nothing(
    pages: Pages, path: str
) -> None:
    browser = await pages.signed_in()
    other = pages.browser()
    await other.get("/sign-in")
    browser.page = other.page  # its token, with the cookie of this browser
    sent = {"username": "alice", "email": ADDRESS, "password": ALICES}
    answer = await browser.post(path, **sent, do="delete", current_password=PASSWORD)
    assert answer.status_code == 403
    assert browser.faults[0][1].startswith(STALE)
    assert (await browser.get("/account")).status_code == 200


async def test_a_sign_in_and_a_sign_out_make_older_forms_void(pages: Pages) -> None:
    """A form that was open before is not sent as another user."""
    browser = pages.browser()
    before = await browser.get("/register")
    cookies = [browser.http.cookies[FORM_COOKIE]]
    await browser.send("/sign-in", username="alice", password=ALICES)
    cookies.append(browser.http.cookies[FORM_COOKIE])
    browser.page = before
    assert (await browser.post("/register", **GOOD)).status_code == 403
    await browser.send("/signed-out")
    cookies.append(browser.http.cookies[FORM_COOKIE])
    assert len(set(cookies)) == 3


# Which pages there are


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ({}, {"/register", "/forgot"}),
        ({"registration": "invited"}, {"/forgot"}),
        ({"registration": "closed"}, {"/forgot"}),
        ({"issuer": "https://id.example", "secret": "s" * 32}, set()),
    ],
)
async def test_a_page_is_there_where_it_can_do_something(
    tmp_path: Path, clock: ManualClock, given: dict[str, Any], there: set[str]
) -> None:
    """And the door names those that are there. The last row has no mail server."""
    if "secret" in given:
        given = given | {"secret": (given["secret"],)}
    async with pages_of(tmp_path, clock, **given) as pages:
        browser = pages.browser()
        door = await browser.get("/sign-in")
        for path in ("/register", "/forgot"):
            assert (f'href="{path[1:]}"' in door.text) == (path in there)
            browser.page = door
            for answer in (
                await browser.post(path, email="nobody"),
                await browser.get(path),
            ):
                assert (answer.status_code != 404) == (path in there)
                assert answer.headers["content-type"] == "text/html; charset=utf-8"
        for path in ("/confirm", "/reset"):
            assert (await browser.get(path)).status_code == 200


# Links, and browsers that follow them


async def test_a_browser_tries_every_handle_that_it_has(pages: Pages) -> None:
    """Whichever registration it confirms. Their number is bounded, and their age."""
    browser = pages.browser()
    first = await pages.registered(browser)
    for number in range(HANDLES_MAX - 1):
        await browser.send("/register", **GOOD | {"email": f"m{number}@example.org"})
    looked = await browser.send("/confirm", token=first, step="look")
    assert 'type="password"' not in looked.text
    await browser.send("/register", **GOOD | {"email": "one.more@example.org"})
    looked = await browser.send("/confirm", token=first, step="look")
    assert 'type="password"' in looked.text
    (cookie,) = [one for one in browser.http.cookies.jar if one.name == HANDLES_COOKIE]
    assert cookie.value is not None
    assert len(cookie.value.split(".")) == HANDLES_MAX


async def test_a_code_is_for_one_page_and_is_looked_at_until_its_button_is_pressed(
    pages: Pages,
) -> None:
    """A form that says no step, as a program sends it, spends nothing either."""
    browser = await pages.signed_in()
    await browser.send("/forgot", email=ADDRESS)
    reset = await pages.code_to(ADDRESS)
    confirm = await pages.registered(browser, "mia@example.org")
    for path, code, other in (
        ("/reset", reset, "/confirm"),
        ("/confirm", confirm, "/reset"),
    ):
        for _ in range(2):
            assert (await browser.send(path, token=code)).status_code == 200
        answer = await browser.send(other, token=code)
        assert answer.status_code == 400
        assert browser.faults[0][1].startswith(SPENT)


async def test_a_link_in_another_browser_asks_for_the_password(pages: Pages) -> None:
    code = await pages.registered(pages.browser())
    other = pages.browser()
    for step, password, status in (
        ("look", "", 200),
        ("confirm", "", 422),
        ("confirm", "not the one", 401),
        ("confirm", PASSWORD, 303),
    ):
        fields = {"password": password} if password else {}
        answer = await other.send("/confirm", token=code, step=step, **fields)
        assert answer.status_code == status
        assert status == 303 or 'id="password"' in answer.text


async def test_a_new_address_asks_a_browser_of_another_account_for_the_password(
    pages: Pages,
) -> None:
    """The session of the account itself is enough, and no other one is."""
    browser = await pages.signed_in()
    fields = {"email": "new@example.org", "current_password": PASSWORD}
    await browser.send("/account", do="email", **fields)
    assert "n•••@example.org" in (await browser.get("/account")).text
    code = await pages.code_to("new@example.org")
    other = await pages.signed_in("other@example.org", password="b" * 5 + PASSWORD)
    for password, status in (("b" * 5 + PASSWORD, 401), (PASSWORD, 303)):
        await other.send("/confirm", token=code, step="confirm", password=password)
        assert other.page.status_code == status
    assert other.page.headers["location"] == "sign-in"
    await other.get("/account")
    assert "other@example.org" in other.page.text
    await browser.get("/account")
    assert "new@example.org" in browser.page.text


async def test_of_confirmations_at_once_one_makes_the_account(pages: Pages) -> None:
    browser = pages.browser()
    code = await pages.registered(browser)
    await browser.get("/confirm")
    answers = await asyncio.gather(
        *(browser.post("/confirm", token=code, step="confirm") for _ in range(15))
    )
    made = [one for one in answers if one.status_code == 303]
    assert [one.headers["location"] for one in made] == ["account"]
    assert {one.status_code for one in answers if one not in made} == {400}
    spent = [one for one in answers if SPENT in one.text]
    assert len(spent) == 14
    assert (await browser.send("/confirm", token=code)).status_code == 400


async def test_a_name_that_was_taken_meanwhile_is_asked_anew(pages: Pages) -> None:
    """The link is not spent by that."""
    browser = pages.browser()
    code = await pages.registered(browser, username="mara")
    await pages.signed_in("another@example.org", username="mara")
    elsewhere = pages.browser()
    for password, status in (("", 422), ("not the one", 401)):
        fields = {"username": "mia"} | ({"password": password} if password else {})
        answer = await elsewhere.send("/confirm", token=code, step="confirm", **fields)
        assert answer.status_code == status
        assert elsewhere.shown["username"] == "mia"  # in its field, to be sent again
    for username, status in ((None, 409), ("mara", 409), ("a b", 400), ("mia", 303)):
        fields = {} if username is None else {"username": username}
        answer = await browser.send("/confirm", token=code, step="confirm", **fields)
        assert answer.status_code == status
        if status != 303:
            assert browser.faults[0][0] == "username"
    assert (await pages.engine.accounts.get("mia")).email == ADDRESS


async def test_an_address_that_was_given_away_meanwhile_says_so(pages: Pages) -> None:
    browser = pages.browser()
    code = await pages.registered(browser)
    service = pages.engine.self_service
    assert service is not None
    alice = await pages.api.id_of("alice")
    await service.email_changes.assign(alice, ADDRESS, confirmed=True, by=APP)
    answer = await browser.send("/confirm", token=code, step="confirm")
    assert answer.status_code == 409
    assert browser.faults[0][1].startswith("This address has an account by now.")


async def test_an_invitation_makes_an_account_or_adds_to_one(pages: Pages) -> None:
    """The user of an account shows that it is theirs, and keeps the password."""
    invite = pages.engine.self_service
    assert invite is not None
    for address, words in (("new@example.org", "minlength"), (ADDRESS, "current-")):
        if address == ADDRESS:
            await pages.signed_in()
        await invite.invitations.invite(address, roles=["crew"])
        code = await pages.code_to(address)
        browser = pages.browser()
        looked = await browser.send("/confirm", token=code, step="look")
        assert words in looked.text
        if address == ADDRESS:
            wrong = {"token": code, "step": "confirm", "password": ALICES}
            assert (await browser.post("/confirm", **wrong)).status_code == 401
        answer = await browser.send(
            "/confirm", token=code, step="confirm", password=PASSWORD
        )
        assert answer.headers["location"] == "account"
        await browser.get("/account")
        assert "The invitation is accepted" in browser.notice
        assert (await pages.engine.accounts.get(address)).roles == ("crew",)


@pytest.mark.parametrize("path", ["/sign-in", "/confirm"])
async def test_too_many_tries_are_a_page_that_says_when_to_go_on(
    pages: Pages, path: str
) -> None:
    most = {"/sign-in": THROTTLE_NAME_BURST, "/confirm": CONFIRM_BURST}[path]
    browser = pages.browser()
    code = await pages.registered(pages.browser())
    fields = {
        "/sign-in": {"username": "alice", "password": "wrong"},
        "/confirm": {"token": code, "step": "confirm", "password": "wrong"},
    }[path]
    for _ in range(most):
        assert (await browser.send(path, **fields)).status_code == 401
    answer = await browser.send(path, **fields)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert browser.faults[0][1].startswith("Too many tries. Try again in ")


# Who is signed in


async def test_the_door_says_as_whom_the_browser_is_signed_in(pages: Pages) -> None:
    browser = pages.browser()
    assert (await browser.get("/signed-out")).status_code == 200
    await browser.send("/sign-in", username="alice", password=ALICES)
    await browser.get("/sign-in")
    assert "You are signed in here as" in browser.page.text
    await browser.get("/signed-out")
    assert browser.heading == "Sign out?"  # it would not be true yet
    other = await pages.signed_in()
    first = other.http.cookies[SIGN_IN_COOKIE]
    await other.send("/sign-in", username="alice", password=ALICES)
    assert "alice" in (await other.get("/account")).text
    other.http.cookies.set(SIGN_IN_COOKIE, first, domain="127.0.0.1")
    assert (await other.get("/account")).status_code == 303


async def test_of_two_cookies_of_a_name_neither_is_believed(pages: Pages) -> None:
    """Another site has set one of them."""
    notice = f"{NOTICE_COOKIE}=SignInNotice.account_made.0"
    known = (await pages.signed_in()).http.cookies[SIGN_IN_COOKIE]
    sign_in = f"{SIGN_IN_COOKIE}={known}"
    browser = pages.browser()
    for cookie, path, status, words in (
        (notice, "/sign-in", 200, "Your account is there."),
        (f"{notice}; {notice}", "/sign-in", 200, ""),
        (sign_in, "/account", 200, ""),
        (f"{sign_in}; {sign_in}", "/account", 400, ""),
    ):
        browser.http.cookies.clear()
        assert (await browser.get(path, Cookie=cookie)).status_code == status
        assert browser.notice.startswith(words)
        assert bool(browser.notice) == bool(words)


async def test_without_a_session_the_account_is_behind_the_door(pages: Pages) -> None:
    browser = await pages.signed_in()
    await browser.get("/account")
    shown = browser.page
    account = await pages.engine.accounts.get(ADDRESS)
    await pages.engine.sessions.end_all(account.id, EndReason.ENDED_BY_APP)
    for answer in (
        await browser.get("/account"),
        await _again(browser, shown, do="locale", locale="de"),
        await pages.browser().get("/account"),
    ):
        assert (answer.status_code, answer.headers["location"]) == (303, "sign-in")
    assert (await pages.engine.accounts.get(ADDRESS)).locale == "en"


async def _again(browser: Browser, page: Any, **fields: str) -> Any:
    browser.page = page
    return await browser.post("/account", **fields)


async def test_a_user_ends_sessions_of_their_own_alone(pages: Pages) -> None:
    """Those of others, and the one of this page, are no matter of that button."""
    browser, other = await pages.signed_in(), pages.browser()
    await other.send("/sign-in", username="alice", password=ALICES)
    phone = pages.browser()
    pages.api.clock.advance(1)
    await phone.send("/sign-in", username=ADDRESS, password=PASSWORD)
    page = (await browser.get("/account")).text
    assert page.count('name="session"') == 1
    account = await pages.engine.accounts.get(ADDRESS)
    alice = await pages.engine.accounts.get("alice")
    (theirs,) = await pages.engine.sessions.list_of_account(alice.id)
    for one in ("", "nonsense", as_text(theirs.id)):
        await browser.send("/account", do="end", session=one)
    assert (await other.get("/account")).status_code == 200
    newest, _ = await pages.engine.sessions.list_of_account(account.id)
    await browser.send("/account", do="end", session=as_text(newest.id))
    await browser.get("/account", **{"Sec-Purpose": "prefetch"})
    assert browser.notice == "That session has ended."  # it was only fetched ahead
    await browser.get("/account")
    assert browser.notice == "That session has ended."
    assert (await phone.get("/account")).status_code == 303
    await browser.get("/account")
    assert browser.notice == ""


async def test_a_change_of_password_keeps_the_session_of_this_browser_alone(
    pages: Pages,
) -> None:
    browser, phone = await pages.signed_in(), pages.browser()
    account = await pages.engine.accounts.get(ADDRESS)
    (before,) = await pages.engine.sessions.list_of_account(account.id)
    await phone.send("/sign-in", username=ADDRESS, password=PASSWORD)
    fields = {"current_password": PASSWORD, "password": ALICES}
    await browser.send("/account", do="password", **fields)
    (after,) = await pages.engine.sessions.list_of_account(account.id)
    assert after.id == before.id
    assert (await browser.get("/account")).status_code == 200
    assert (await phone.get("/account")).status_code == 303


async def test_the_account_speaks_its_owners_language(pages: Pages) -> None:
    """Whatever the browser asks for, once the account says one.

    A link at the foot of a page holds until another language is saved.
    """
    browser = await pages.signed_in()
    await browser.send("/account", do="locale", locale="xx")
    await browser.send("/account", do="locale", locale="de")
    page = await browser.get("/account", **{"Accept-Language": "en"})
    assert '<html lang="de"' in page.text
    page = await browser.get("/account?ui_locales=en")
    assert '<html lang="en"' in page.text
    saved = await browser.send("/account?ui_locales=en", do="locale", locale="de")
    assert saved.headers["location"] == "account"


async def test_a_reset_ends_all_sessions_and_signs_in_nowhere(pages: Pages) -> None:
    browser = await pages.signed_in()
    other = pages.browser()
    await other.send("/forgot", email=ADDRESS)
    code = await pages.code_to(ADDRESS)
    for password, status in (("", 422), ("short", 422), (ALICES, 303), (ALICES, 400)):
        fields = {"password": password} if password else {}
        answer = await other.send("/reset", token=code, step="reset", **fields)
        assert answer.status_code == status
    assert SIGN_IN_COOKIE not in other.http.cookies
    assert (await browser.get("/account")).status_code == 303
    answer = await other.send("/sign-in", username=ADDRESS, password=ALICES)
    assert answer.headers["location"] == "account"


@pytest.mark.parametrize(
    ("user_agent", "browser", "system"),
    [
        ("", "", ""),
        ("curl/8.5.0", "curl", ""),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko Firefox/144.0",
            "Firefox",
            "Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0",
            "Chrome",
            "Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605",
            "Safari",
            "macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/6",
            "Safari",
            "iPhone",
        ),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit Chrome/142", "Chrome", "Android"),
        ("Mozilla/5.0 <script>", "", ""),
    ],
)
def test_a_device_has_a_name(user_agent: str, browser: str, system: str) -> None:
    assert (browser_of(user_agent), system_of(user_agent)) == (browser, system)


async def test_templates_of_an_operator_are_served_and_a_wrong_one_stops_the_start(
    tmp_path: Path, clock: ManualClock
) -> None:
    templates = tmp_path / "templates/pages"
    templates.mkdir(parents=True)
    (templates / "signed-out.html").write_text("<!doctype html><h1>Bye</h1>")
    given: dict[str, Any] = {"templates": templates.parent, "service_name": "Tides"}
    async with pages_of(tmp_path, clock, **given) as pages:
        browser = pages.browser()
        assert (await browser.get("/signed-out")).text == "<!doctype html><h1>Bye</h1>"
        assert "Tides" in (await browser.get("/sign-in")).text
        settings = pages.engine.settings
    wrong = tmp_path / "wrong"
    (wrong / "pages").mkdir(parents=True)
    (wrong / "pages/reset.html").write_text("{% if %}")
    changed = settings.model_copy(update={"templates": wrong})
    with pytest.raises(SettingsError, match=r"page template reset\.html, line 1"):
        make_app(changed)
