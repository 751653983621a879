"""Accounts by clicking: a server, its folder of mail, Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Others
from tests.mail.mailbox import Mailbox
from tests.server.live import Live
from tests.servers.process import free_port

ADDRESS: Final = "mara@example.org"
ANOTHER: Final = "mara@example.net"
PASSWORD: Final = "correct horse battery staple 41"
SECOND: Final = "five other words are longer 42"
THIRD: Final = "a hat for each of the seven days"


class Town:
    """A server, its mail, and browsers."""

    def __init__(self, live: Live, others: Others) -> None:
        self.url = live.url
        self.mail = Mailbox(live.data)
        self._others = others

    @contextmanager
    def browser(self, **options: Any) -> Iterator[Page]:
        """A page of a browser with a jar of its own."""
        with self._others.one(self.url, base_url=self.url, **options) as context:
            yield context.pages[0]


@pytest.fixture(scope="module")
def port() -> int:
    """One server after the other is at the same address, for the same browsers."""
    return free_port()


@pytest.fixture
def town(others: Others, tmp_path: Path, port: int) -> Iterator[Town]:
    # Mail to unknown addresses would wait for its turn, three seconds a message.
    given: dict[str, Any] = {"WATCHWORD_MAIL_RATE": "6000"}
    live = Live(tmp_path / "data", port=port, WATCHWORD_REGISTRATION="open", **given)
    with live:
        yield Town(live, others)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def unfold(page: Page, name: str) -> None:
    page.locator("summary", has_text=name).click()


def fill(page: Page, **fields: str) -> None:
    for field, value in fields.items():
        page.locator(f"#{field.replace('_', '-')}").fill(value)


def register(page: Page, town: Town, **fields: str) -> str:
    """Ask for an account; the link of the message."""
    page.goto("/register")
    fill(page, email=ADDRESS, password=PASSWORD, **fields)
    press(page, "Create account")
    heading(page, "Check your mail")
    return town.mail.link_to(ADDRESS)


def have_account(page: Page, town: Town) -> None:
    page.goto(register(page, town))
    press(page, "Create the account")
    heading(page, "Your account")


def sign_in(page: Page, name: str, password: str) -> None:
    page.goto("/sign-in")
    fill(page, username=name, password=password)
    press(page, "Sign in")


def test_an_account_lives_by_clicking(town: Town) -> None:  # noqa: PLR0915 - a story
    """From nothing but a server: made, used on two devices, changed, lost, deleted."""
    with town.browser() as page, town.browser() as phone:
        page.goto("/sign-in")
        page.get_by_role("link", name="Create one").click()
        fill(page, email=ADDRESS, username="mara", password=PASSWORD)
        press(page, "Create account")
        heading(page, "Check your mail")
        expect(page.get_by_text("watchword mail show")).to_be_visible()
        unfold(page, "No message after five minutes?")
        town.mail.link_to(ADDRESS)
        press(page, "Send again")
        expect(page.get_by_role("status")).to_contain_text("another message")

        page.goto(town.mail.link_to(ADDRESS))
        heading(page, "Confirm your address")
        assert "#" not in page.url
        press(page, "Create the account")
        heading(page, "Your account")
        expect(page.get_by_role("status")).to_contain_text("Your account is there")

        unfold(page, "Change the password")
        fill(page, current_password="wrong", password=SECOND)
        press(page, "Change password")
        expect(page.locator("#current-password-error")).to_be_visible()
        fill(page, current_password=PASSWORD, password=SECOND)
        press(page, "Change password")
        expect(page.get_by_role("status")).to_contain_text("password was changed")

        sign_in(phone, "mara", SECOND)
        heading(phone, "Your account")
        page.reload()
        expect(page.locator(".list li")).to_have_count(2)
        expect(page.locator(".list li").first).to_contain_text("This session")
        press(page, "Sign out everywhere else")
        expect(page.get_by_role("status")).to_contain_text("One other session")
        phone.reload()
        heading(phone, "Sign in")

        unfold(page, "Change the address")
        fill(page, email=ANOTHER, email_password=SECOND)
        press(page, "Send the message")
        expect(page.get_by_role("status")).to_contain_text("on its way")
        page.goto(town.mail.link_to(ANOTHER))
        heading(page, "Confirm your new address")
        press(page, "Use this address")
        expect(page.get_by_role("status")).to_contain_text("address was changed")
        expect(page.locator(".kv")).to_contain_text(ANOTHER)

        page.locator("#locale").select_option("de")
        press(page, "Save the language")
        heading(page, "Ihr Konto")
        page.locator("#locale").select_option("en")
        press(page, "Sprache speichern")
        heading(page, "Your account")

        press(page, "Sign out")
        heading(page, "You are signed out")
        page.get_by_role("link", name="Sign in again").click()
        page.get_by_role("link", name="Forgot your password?").click()
        fill(page, email=ANOTHER)
        press(page, "Send the link")
        heading(page, "Check your mail")
        page.goto(town.mail.link_to(ANOTHER))
        heading(page, "Choose a new password")
        fill(page, password=THIRD)
        press(page, "Change password")
        expect(page.get_by_role("status")).to_contain_text("password was changed")

        fill(page, username=ANOTHER, password=THIRD)
        press(page, "Sign in")
        heading(page, "Your account")
        unfold(page, "Delete this account")
        fill(page, delete_password=THIRD)
        press(page, "Delete it for good")
        expect(page.get_by_role("status")).to_contain_text("account is deleted")
        fill(page, username="mara", password=THIRD)
        press(page, "Sign in")
        expect(page.get_by_role("alert")).to_contain_text("do not go together")


def test_without_scripts_on_another_device_code_and_password_are_typed(
    town: Town,
) -> None:
    without = {"java_script_enabled": False}
    with town.browser(**without) as page, town.browser(**without) as phone:
        link = register(page, town)
        phone.goto(link)
        heading(phone, "Confirm with a code")
        fill(phone, token=link.partition("#")[2])
        press(phone, "Continue")
        heading(phone, "Confirm your address")
        expect(phone.get_by_text("on another device")).to_be_visible()
        fill(phone, password="not the one that was chosen")
        press(phone, "Create the account")
        expect(phone.locator("#password-error")).to_be_visible()
        fill(phone, password=PASSWORD)
        press(phone, "Create the account")
        heading(phone, "Your account")


def scan(town: Town, link: str) -> None:
    """What a mail scanner may do: open the link, run its scripts, press all buttons.

    It also sends each form as it stands, whatever the form still asks for.
    """
    with town.browser() as scanner:
        scanner.goto(link)
        scanner.wait_for_url(lambda url: "#" not in url)
        expect(scanner.locator("form[data-fragment]")).to_have_count(0)
        count = scanner.get_by_role("button").count()
        assert count
        for number in range(count):
            scanner.get_by_role("button").nth(number).click()
        for number in range(scanner.locator("form").count()):
            scanner.locator("form").nth(number).evaluate("(form) => form.submit()")
            expect(scanner.locator(".summary")).to_be_visible()


def test_a_scanner_that_presses_every_button_confirms_nothing(town: Town) -> None:
    """Neither account, address, way back nor password: the links still work."""
    with town.browser() as page:
        link = register(page, town)
        scan(town, link)
        page.goto(link)
        press(page, "Create the account")
        heading(page, "Your account")

        unfold(page, "Change the address")
        fill(page, email=ANOTHER, email_password=PASSWORD)
        press(page, "Send the message")
        link = town.mail.link_to(ANOTHER)
        scan(town, link)
        page.goto("/account")
        expect(page.locator(".kv")).to_contain_text(ADDRESS)
        page.goto(link)
        press(page, "Use this address")
        expect(page.locator(".kv")).to_contain_text(ANOTHER)

        way_back = town.mail.link_to(ADDRESS)
        scan(town, way_back)
        page.goto("/account")
        expect(page.locator(".kv")).to_contain_text(ANOTHER)

        page.goto("/forgot")
        fill(page, email=ANOTHER)
        press(page, "Send the link")
        link = town.mail.link_to(ANOTHER)
        scan(town, link)
        page.goto(link)
        fill(page, password=SECOND)
        press(page, "Change password")
        sign_in(page, ANOTHER, SECOND)
        heading(page, "Your account")

        page.goto(way_back)
        heading(page, "Take your address back")
        page.locator("#sure").check()
        press(page, "Take the address back")
        expect(page.get_by_role("status")).to_contain_text("Your address is back")


def test_a_user_signs_in_by_the_keyboard_alone(town: Town) -> None:
    with town.browser() as page:
        have_account(page, town)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        heading(page, "You are signed out")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        heading(page, "Sign in")
        page.keyboard.press("Tab")
        page.keyboard.type(ADDRESS)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        heading(page, "Your account")
