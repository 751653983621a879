"""Second factors by clicking: a server, Chromium, and its virtual authenticators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyotp
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.serving import Site
from tests.browser.test_account_pages import fill, heading, press
from tests.patience import PATIENCE
from tests.scenarios.api import PASSWORD
from watchword.core import limits


class Key:
    """A virtual authenticator of a page (CDP, domain WebAuthn)."""

    def __init__(self, cdp: CDPSession, **options: Any) -> None:
        self._cdp = cdp
        usual = {
            "protocol": "ctap2",
            "ctap2Version": "ctap2_1",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = cdp.send(
            "WebAuthn.addVirtualAuthenticator", {"options": usual | options}
        )
        self._id = made["authenticatorId"]

    def becomes(self, **state: bool) -> None:
        """Whether it has `verified` the user, and is `picked`, from now on."""
        for name, value in state.items():
            method, field = {
                "verified": ("setUserVerified", "isUserVerified"),
                "picked": ("setAutomaticPresenceSimulation", "enabled"),
            }[name]
            given = {"authenticatorId": self._id, field: value}
            self._cdp.send(f"WebAuthn.{method}", given)


@contextmanager
def browser_at(chromium: Browser, site: Site, **options: Any) -> Iterator[Page]:
    context = chromium.new_context(base_url=site.origin, **options)
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


def sign_in(page: Page) -> None:
    page.goto("/sign-in")
    fill(page, username="alice", password=PASSWORD)
    press(page, "Sign in")


def sign_out(page: Page) -> None:
    page.goto("/account")
    press(page, "Sign out")
    heading(page, "You are signed out")


def add_passkey(page: Page, name: str) -> None:
    page.goto("/account")
    page.get_by_role("link", name="Add a passkey").click()
    heading(page, "Add a passkey")
    fill(page, label=name)
    press(page, "Make the passkey")


def test_passkeys_live_by_clicking(  # noqa: PLR0915 - a story
    chromium: Browser, tmp_path: Path
) -> None:
    """Made, used at each door, refused without the user, removed."""
    served = Site(tmp_path, has_name=True)
    with served as site, browser_at(chromium, site) as page:
        cdp = page.context.new_cdp_session(page)
        cdp.send("WebAuthn.enable")
        phone = Key(cdp)
        sign_in(page)
        add_passkey(page, "Blue phone")
        heading(page, "Keep your recovery codes")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        press(page, "Copy all")
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()").split()
        assert copied == page.locator("#codes li").all_inner_texts()
        press(page, "Continue")  # not before they are kept
        page.locator("#kept").check()
        press(page, "Continue")
        heading(page, "Your account")
        expect(page.get_by_role("status")).to_contain_text("It is set up")

        # The browser offers it at the field of the user name; this one takes it.
        sign_out(page)
        page.goto("/sign-in")
        heading(page, "Your account")

        sign_out(page)
        phone.becomes(verified=False)
        page.goto("/sign-in")
        press(page, "Sign in with a passkey")
        expect(page.get_by_role("alert")).to_contain_text("It did not work")
        fill(page, username="alice", password=PASSWORD)
        press(page, "Sign in")
        heading(page, "Use your passkey")
        press(page, "Continue with a passkey")
        expect(page.get_by_role("alert")).to_contain_text("It did not work")
        phone.becomes(verified=True)
        press(page, "Continue with a passkey")
        heading(page, "Your account")

        # Another one, which its maker copies.
        phone.becomes(picked=False)
        key = Key(cdp, transport="usb", defaultBackupEligibility=True)
        site.clock.advance(6 * limits.MINUTE)
        page.goto("/account")
        page.get_by_role("link", name="Add a passkey").click()
        heading(page, "Prove that it is you")
        key.becomes(picked=False)
        phone.becomes(picked=True)
        press(page, "Continue with a passkey")
        heading(page, "Add a passkey")
        phone.becomes(picked=False)
        key.becomes(picked=True)
        fill(page, label="Key")
        press(page, "Make the passkey")
        heading(page, "Your account")
        shown = page.locator("section", has_text="Second step").locator(".list li")
        expect(shown).to_have_count(3)
        expect(shown.nth(0)).not_to_contain_text("Synced")
        expect(shown.nth(1)).to_contain_text("Synced by its maker")
        shown.nth(0).locator("summary").click()
        shown.nth(0).get_by_role("button", name="Remove").click()
        expect(page.get_by_role("status")).to_contain_text("It is removed")
        expect(shown).to_have_count(2)

        sign_out(page)
        key.becomes(picked=False)
        page.goto("/sign-in")
        phone.becomes(picked=True)
        press(page, "Sign in with a passkey")
        expect(page.get_by_role("alert")).to_contain_text("That passkey was not")
        phone.becomes(picked=False)
        key.becomes(picked=True)
        press(page, "Sign in with a passkey")
        heading(page, "Your account")


def test_without_scripts_the_first_factor_is_enrolled_and_asked_for(
    chromium: Browser, tmp_path: Path
) -> None:
    """Where one is demanded: by a code of the operator, then at each sign-in."""
    served = Site(tmp_path, has_name=True, second_factor="required")
    without = {"java_script_enabled": False}
    with served as site, browser_at(chromium, site, **without) as page:
        sign_in(page)
        heading(page, "Set up a second step")
        account = site.run(site.engine.accounts.get("alice"))
        factors = site.engine.second_factors.factors
        fill(page, token=site.run(factors.enrol_code(account.id)))
        press(page, "Use an authenticator app")
        heading(page, "Set up an authenticator app")
        app = pyotp.TOTP(page.locator("#secret").input_value().replace(" ", ""))
        expect(page.locator("[role=img] svg")).to_be_visible()

        def code() -> str:
            site.clock.advance(limits.TOTP_STEP)
            return app.at(site.clock() // 1000)

        fill(page, code=code())
        press(page, "Turn it on")
        heading(page, "Keep your recovery codes")
        codes = page.locator("#codes li").all_inner_texts()
        page.locator("#kept").check()
        press(page, "Continue")
        heading(page, "Your account")

        sign_out(page)
        sign_in(page)
        heading(page, "Enter your code")
        fill(page, code="000 000")
        press(page, "Continue")
        expect(page.locator(".summary")).to_contain_text("Each code works once")
        fill(page, code=code())
        press(page, "Continue")
        heading(page, "Your account")

        sign_out(page)
        sign_in(page)
        page.get_by_role("link", name="Use a recovery code").click()
        fill(page, recovery_code=codes[3].lower())
        press(page, "Continue")
        heading(page, "Your account")
        sign_out(page)
        sign_in(page)
        press(page, "Sign in as another user")
        heading(page, "Sign in")
