"""Users that clients send to the pages, by clicking: Chromium, and clients elsewhere.

The clients are pages of another site than the server's: the same machine by another
name. Whatever the browser's console says of a page is a fault of that page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pyotp
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browser.serving import Site
from tests.browser.test_account_pages import fill, heading, press
from tests.browser.test_factor_pages import Key
from tests.patience import PATIENCE
from tests.scenarios.api import PASSWORD
from tests.server.clients_at import CHALLENGE, VERIFIER
from watchword.core import limits
from watchword.core.actor import APP
from watchword.server.sign_in_cookie import SIGN_IN_COOKIE

NAMES: Final = {"tides": "Tide Tables", "berths": "Berth Planner", "pilots": "Pilots"}
CLIENT: Final = '<!doctype html><link rel="icon" href="data:,"><title>%s</title>'
FRAMING: Final = CLIENT % "frame" + '<iframe src="%s"></iframe>'
FORGING: Final = (
    CLIENT
    % "forge"
    + '<form method="post" action="%s"><input name="decision" value="allow"></form>'
    "<script>document.forms[0].submit()</script>"
)
SCRIPTED: Final = """(address) => fetch(address, {
  method: "POST", mode: "no-cors", credentials: "include",
  body: new URLSearchParams({ decision: "allow" }),
}).then((answer) => answer.type)"""


class Town:
    """The server, its clients, and one browser."""

    def __init__(self, chromium: Browser, site: Site) -> None:
        self.site = site
        self.context = chromium.new_context()
        self.context.set_default_timeout(PATIENCE * 1000)
        self.context.on("console", self._heard)
        self.said: list[str] = []
        self.secrets: dict[str, str] = {}
        for client_id, name in NAMES.items():
            site.line.pages[f"/{client_id}"] = CLIENT % client_id
            _, secret = site.run(
                site.engine.clients.add(
                    client_id,
                    confidential=True,
                    name=name,
                    redirect_uris=(f"{site.elsewhere}/{client_id}",),
                    post_logout_redirect_uris=(f"{site.elsewhere}/{client_id}",),
                    trusted=client_id == "pilots",
                )
            )
            self.secrets[client_id] = secret or ""

    def _heard(self, message: ConsoleMessage) -> None:
        # A status that says so is no fault of the page.
        if "the server responded with a status of 4" not in message.text:
            self.said.append(message.text)

    def sends(self, page: Page, client_id: str = "tides", **given: str) -> None:
        """The client's own page has a link to the server, and the user follows it."""
        sent = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": f"{self.site.elsewhere}/{client_id}",
            "scope": "openid profile",
            "state": "a-state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        to = f"{self.site.origin}/oauth/authorize?{urlencode(sent | given)}"
        start = CLIENT % "start" + f'<a href="{to.replace("&", "&amp;")}">Sign in</a>'
        self.site.line.pages["/start"] = start
        page.goto(f"{self.site.elsewhere}/start")
        page.get_by_role("link", name="Sign in").click()

    def arrives(self, page: Page, client_id: str = "tides") -> dict[str, str]:
        """The parameters with which the user comes to the client."""
        expect(page).to_have_title(client_id)
        address = urlsplit(page.url)
        assert f"{address.scheme}://{address.netloc}" == self.site.elsewhere
        return {k: one for k, (one,) in parse_qs(address.query).items()}

    def redeems(self, told: dict[str, str], client_id: str = "tides") -> str:
        """The refresh token that the client gets for its code."""
        given = {
            "grant_type": "authorization_code",
            "redirect_uri": f"{self.site.elsewhere}/{client_id}",
            "code_verifier": VERIFIER,
        }
        answer = self._token(client_id, code=told["code"], **given)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["refresh_token"]
        return token

    def refuses(self, token: str, client_id: str) -> bool:
        """Whether the client's session is over."""
        given = {"grant_type": "refresh_token", "refresh_token": token}
        answer = self._token(client_id, **given)
        return answer.status_code == 400

    def _token(self, client_id: str, **given: str) -> httpx2.Response:
        own = (client_id, self.secrets[client_id])
        return httpx2.post(f"{self.site.origin}/oauth/token", data=given, auth=own)

    def is_signed_in(self) -> bool:
        cookies: list[Any] = self.context.cookies(self.site.origin)
        return SIGN_IN_COOKIE in {one["name"] for one in cookies}


@pytest.fixture(scope="module")
def built(
    chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    with Site(tmp_path_factory.mktemp("site"), has_name=True) as site:
        town = Town(chromium, site)
        yield town
        town.context.close()


@pytest.fixture
def town(built: Town) -> Iterator[Town]:
    """The browser without a cookie, and nothing in its console at the end."""
    built.context.clear_cookies()
    built.said.clear()
    yield built
    assert built.said == []
    for page in built.context.pages:
        page.close()


def sign_in(page: Page, name: str = "alice", password: str = PASSWORD) -> None:
    fill(page, username=name, password=password)
    press(page, "Sign in")


def test_a_user_goes_through_all_pages_and_is_known_to_the_next_client(  # noqa: PLR0915
    town: Town,
) -> None:
    """Wrong password, reload, back and a second tab go on; a trusted one asks nothing.

    Each form ends at another site, and the browser does not stop one.
    """
    site, page = town.site, town.context.new_page()
    account = site.run(site.engine.accounts.register("bob", PASSWORD))
    parts = site.engine.second_factors
    pending = parts.totp.begin(account.id, "bob")
    app = pyotp.TOTP(pending.secret)

    def code() -> str:
        site.clock.advance(limits.TOTP_STEP)
        return app.at(site.clock() // 1000)

    row, _ = parts.totp.confirmed(account.id, pending.factor, code())
    site.run(parts.factors.add(account.id, row, keep_session=None, by=APP))

    town.sends(page)
    heading(page, "Sign in")
    press(page, "Cancel and go back to Tide Tables")
    assert town.arrives(page)["error"] == "access_denied"

    town.sends(page)
    second_tab = town.context.new_page()
    second_tab.goto(page.url)
    sign_in(page, "bob", "wrong")
    expect(page.locator(".summary")).to_contain_text("do not go together")
    page.reload()
    page.goto(page.url)
    sign_in(page, "bob")
    heading(page, "Enter your code")
    page.go_back()
    sign_in(page, "bob")
    heading(page, "Enter your code")
    fill(page, code="000 000")
    press(page, "Continue")
    expect(page.locator(".summary")).to_contain_text("Each code works once")
    fill(page, code=code())
    press(page, "Continue")
    heading(page, "Allow Tide Tables?")
    page.reload()
    heading(page, "Allow Tide Tables?")
    press(page, "Allow")
    told = town.arrives(page)
    assert told["state"] == "a-state"
    assert told["iss"] == site.origin
    assert "code" in told
    tokens = {"tides": town.redeems(told)}
    second_tab.reload()
    heading(second_tab, "This sign-in cannot continue")

    town.sends(second_tab, "pilots")
    tokens["pilots"] = town.redeems(town.arrives(second_tab, "pilots"), "pilots")
    town.sends(second_tab, "berths")
    press(second_tab, "Do not allow")
    assert town.arrives(second_tab, "berths")["error"] == "access_denied"
    town.sends(second_tab, "berths")
    press(second_tab, "Allow")
    tokens["berths"] = town.redeems(town.arrives(second_tab, "berths"), "berths")

    # One signs the user out, from all of them.
    query = {
        "client_id": "pilots",
        "post_logout_redirect_uri": f"{site.elsewhere}/pilots",
        "state": "bye",
    }
    page.goto(f"{site.origin}/oauth/logout?{urlencode(query)}")
    heading(page, "Sign out?")
    expect(page.get_by_text("Pilots sent you here to sign out.")).to_be_visible()
    press(page, "Sign out")
    assert town.arrives(page, "pilots") == {"state": "bye"}
    assert not town.is_signed_in()
    assert all(town.refuses(token, client_id) for client_id, token in tokens.items())


def test_consent_is_not_framed_not_sent_by_others_and_not_given_elsewhere(
    town: Town,
) -> None:
    site, page = town.site, town.context.new_page()
    site.clock.advance(limits.HOUR)
    town.sends(page, "berths")
    begun = page.url
    sign_in(page)
    heading(page, "Allow Berth Planner?")
    consent = page.url
    evil = town.context.new_page()

    def consents() -> list[Any]:
        account = site.run(site.engine.accounts.get("alice"))
        found: list[Any] = site.run(site.engine.stores.consents.of_account(account.id))
        return [one for one in found if one.client_id == "berths"]

    assert town.said == []
    site.line.pages["/evil"] = FRAMING % consent
    evil.goto(f"{site.elsewhere}/evil")
    assert "frame-ancestors" in " ".join(town.said)
    assert evil.frames[1].locator("button").count() == 0
    town.said.clear()

    site.line.pages["/evil"] = FORGING % consent
    evil.goto(f"{site.elsewhere}/evil")
    heading(evil, "This sign-in cannot continue")  # no cookie comes with it
    evil.goto(f"{site.elsewhere}/start")
    assert evil.evaluate(SCRIPTED, consent) == "opaque"
    evil.goto(f"{consent}&decision=allow")  # prefilled: it asks all the same
    heading(evil, "Allow Berth Planner?")
    assert consents() == []

    # Another browser gets the link, before its user is signed in and after.
    for address in (begun, consent):
        town.context.clear_cookies()
        evil.goto(address)
        heading(evil, "This sign-in cannot continue")
        assert not town.is_signed_in()
    page.reload()
    heading(page, "This sign-in cannot continue")


def test_a_passkey_signs_in_for_a_client(town: Town) -> None:
    """Made on the way; by the field of the name, which the browser fills; as a step."""
    page = town.context.new_page()
    cdp = town.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    key = Key(cdp)
    town.sends(page, "pilots", acr_values="aal2")
    sign_in(page)
    heading(page, "Set up an authenticator app")
    page.get_by_role("link", name="Use a passkey").click()
    heading(page, "Add a passkey")
    fill(page, label="Phone")
    press(page, "Make the passkey")
    heading(page, "Keep your recovery codes")
    page.locator("#kept").check()
    press(page, "Continue")
    assert "code" in town.arrives(page, "pilots")
    town.context.clear_cookies()
    town.sends(page, "pilots")
    assert "code" in town.arrives(page, "pilots")

    town.context.clear_cookies()
    key.becomes(picked=False)
    town.sends(page, "pilots")
    sign_in(page)
    heading(page, "Use your passkey")
    key.becomes(picked=True)
    press(page, "Continue with a passkey")
    assert "code" in town.arrives(page, "pilots")
