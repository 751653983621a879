"""The calls of accounts of watchword.js, in a real Chromium and by real mail."""

from __future__ import annotations

from typing import Any, Final

import pyotp
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Others, Tab, Visitor
from tests.browser.serving import Fault
from tests.pages import ROOT, blocks_of
from tests.scenarios.api import BASE, PASSWORD
from watchword.core import one_time_token
from watchword.core.actor import APP
from watchword.core.limits import ACCESS_TTL, MINUTE
from watchword.core.one_time_token import TokenPurpose

EMAIL: Final = "ann@example.org"
PHRASE: Final = "four words make a phrase"
OTHER: Final = "five other words make one"
# The other mode of these is the same to the call.
EITHER: Final = pytest.mark.parametrize(
    "mode", ["cookie", pytest.param("bearer", marks=pytest.mark.slow)]
)
CHANGE: Final = f"{BASE}/password/change"


def registered(visitor: Visitor, **options: Any) -> list[Tab]:
    """Two tabs of a user that registered in the first, signed in."""
    tabs = [visitor.open(**options) for _ in range(2)]
    assert tabs[0].do("register", EMAIL, PHRASE) == "ok"
    assert tabs[0].do("confirm", visitor.site.token_to(EMAIL)) == "ok"
    for tab in tabs:
        tab.wait_for("refreshed")
        assert tab.events == ["refreshed"]
    return tabs


@pytest.mark.parametrize(
    ("mode", "dpop"),
    [
        ("cookie", False),
        ("bearer", True),
        pytest.param("cookie", True, marks=pytest.mark.slow),
        pytest.param("bearer", False, marks=pytest.mark.slow),
    ],
)
def test_registered_confirmed_and_signed_in_in_every_tab(
    visitor: Visitor, mode: str, *, dpop: bool
) -> None:
    """A reload in between loses nothing, and the handle of another one is passed by."""
    tab, other = (visitor.open(mode=mode, dpop=dpop) for _ in range(2))
    assert tab.do("resend") == "invalid_credentials"
    assert tab.do("register", EMAIL, "short") == "password_rejected"
    assert tab.do("register", EMAIL, PHRASE, {"username": "Ann"}) == "ok"
    assert tab.do("register", "bob@example.org", PHRASE) == "ok"
    assert (tab.load(), tab.signed_in) == (False, False)
    token = visitor.site.token_to(EMAIL)
    assert tab.do("confirm", token) == "ok"
    assert (tab.call(), other.call()) == (200, 200)
    assert tab.do("confirm", token) == "confirmation_invalid"
    account = other.do("account")
    shown = account["username"], account["email"], account["emailConfirmed"]
    assert shown == ("ann", EMAIL, True)
    assert other.do("updateAccount", {"locale": "de"})["locale"] == "de"


def test_another_browser_is_asked_for_the_password(
    visitor: Visitor, others: Others
) -> None:
    tab = visitor.open()
    tab.do("register", EMAIL, PHRASE)
    visitor.site.token_to(EMAIL)
    tab.do("resend")
    token = visitor.site.token_to(EMAIL)
    with others.one(visitor.site.origin) as context:
        elsewhere = Visitor(context, visitor.site).open()
        for wrong in ({}, {"password": OTHER}):
            assert elsewhere.do("confirm", token, wrong) == "invalid_credentials"
        assert elsewhere.do("confirm", token, {"password": PHRASE}) == "ok"
        assert (elsewhere.call(), tab.call()) == (200, "signed_out")


@EITHER
def test_an_invitation_is_accepted_and_signs_in(visitor: Visitor, mode: str) -> None:
    tab, other = (visitor.open(mode=mode) for _ in range(2))
    service = visitor.site.engine.self_service
    assert service is not None
    visitor.site.run(service.invitations.invite(EMAIL, by=APP))
    token = visitor.site.token_to(EMAIL)
    assert tab.do("accept", token, PHRASE, {"username": "ann"}) == "ok"
    assert (tab.call(), other.call()) == (200, 200)
    assert other.do("account")["username"] == "ann"


@pytest.mark.parametrize(
    ("mode", "fault"),
    [
        ("cookie", "cut"),
        ("bearer", "lost"),
        pytest.param("cookie", "lost", marks=pytest.mark.slow),
        pytest.param("bearer", "cut", marks=pytest.mark.slow),
    ],
)
def test_a_change_of_password_keeps_all_tabs_signed_in(
    visitor: Visitor, mode: str, fault: Fault
) -> None:
    """An answer that is lost, or that broke off, is asked for again; done once."""
    tab, other = registered(visitor, mode=mode)
    visitor.site.clock.advance(ACCESS_TTL)
    faults = [fault]
    visitor.site.line.fault = lambda path: (
        faults.pop() if path == CHANGE and faults else None
    )
    assert tab.do("changePassword", PHRASE, OTHER) == "ok"
    other.wait_for("refreshed")
    assert (tab.call(), other.call()) == (200, 200)
    assert visitor.site.line.count(CHANGE) == 2
    assert visitor.site.line.count() == 0
    assert tab.do("changePassword", PHRASE, PASSWORD) == "invalid_credentials"
    assert tab.do("changePassword", OTHER, "short") == "password_rejected"
    assert (tab.call(), other.call()) == (200, 200)
    assert tab.do("login", EMAIL, OTHER) == "ok"


def test_a_reset_needs_the_second_factor(visitor: Visitor) -> None:
    """An answer that is lost is asked for again; the recovery codes came with it."""
    tab, _ = registered(visitor)
    pending = tab.do("addTotp")
    code = pyotp.TOTP(pending["secret"]).at(visitor.site.clock() // 1000)
    faults: list[Fault] = ["lost"]
    visitor.site.line.fault = lambda path: (
        faults.pop() if path == f"{BASE}/factors/totp/confirm" and faults else None
    )
    assert tab.do("confirmTotp", pending["factor"], code) == []
    codes = tab.do("newRecoveryCodes")
    tab.do("forgot", EMAIL)
    token = visitor.site.token_to(EMAIL)
    assert tab.do("reset", token, OTHER) == "second_factor_required"
    for method, given, said in (
        ("totp", code, "second_factor_invalid"),
        ("recovery_code", codes[0], "ok"),
    ):
        second = {"method": method, "code": given}
        assert tab.do("reset", token, OTHER, second) == said


@EITHER
def test_another_address_and_the_end_of_an_account(visitor: Visitor, mode: str) -> None:
    """Both need a proof of the last five minutes, which `stepUp` is."""
    tab, other = registered(visitor, mode=mode)
    visitor.site.clock.advance(6 * MINUTE)
    asked = "insufficient_user_authentication"
    assert tab.do("changeEmail", "ann@example.net") == asked
    assert tab.do("deleteAccount") == asked
    assert tab.do("stepUp", OTHER) == "invalid_credentials"
    assert tab.do("stepUp", PHRASE) == "ok"
    assert tab.do("changeEmail", "ann@example.net") == "ok"
    token = visitor.site.token_to("ann@example.net")
    assert other.do("confirmEmail", token) == "ok"
    assert tab.do("account")["email"] == "ann@example.net"
    # The way back is mailed to the address before.
    back = visitor.site.token_to(EMAIL)
    assert visitor.open(mode=mode).do("revertEmail", back) == "ok"
    visitor.site.clock.advance(ACCESS_TTL)
    assert tab.call() == "session_revoked"
    other.wait_for("session_revoked")

    assert tab.do("forgot", EMAIL) == "ok"
    token = visitor.site.token_to(EMAIL)
    assert tab.do("reset", token, OTHER) == "ok"
    assert (tab.signed_in, tab.do("login", EMAIL, OTHER)) == (False, "ok")
    assert tab.do("deleteAccount") == "ok"
    other.wait_for("account_deleted")
    assert (tab.signed_in, other.call()) == (False, "signed_out")
    assert tab.do("login", EMAIL, OTHER) == "invalid_credentials"


def test_what_a_token_is_for_can_be_seen(visitor: Visitor) -> None:
    page = visitor.open().page
    script = """async (token) => {
      const { purposeOf } = await import("/watchword.js");
      return purposeOf(token) ?? "";
    }"""
    for purpose in TokenPurpose:
        for byte in (b"\x00", b"\xff"):
            token = one_time_token.mint(purpose, byte * 32)
            assert page.evaluate(script, token) == purpose.value
    for text in ("", "ww_cf_", "ww_rt_AQEA", "ww_cf_BAEA", "ww_cf_AQ-A"):
        assert page.evaluate(script, text) == ""


def test_the_page_of_the_documentation_confirms_by_its_button(
    visitor: Visitor, others: Others
) -> None:
    """Where another browser has registered, it asks for the password."""
    blocks = blocks_of(ROOT / "docs/accounts.md")
    (page,) = [block.text for block in blocks if block.kind == "html"]
    visitor.site.line.pages["/confirm"] = page
    visitor.open().do("register", EMAIL, PHRASE)
    token = visitor.site.token_to(EMAIL)
    with others.one(visitor.site.origin) as context:
        opened = context.pages[0]
        opened.goto(f"{visitor.site.origin}/confirm#{token}")
        opened.get_by_role("button", name="Create the account").click()
        expect(opened.get_by_label("Your password")).to_be_visible()
        assert "#" not in opened.url
    opened = visitor.context.new_page()
    opened.goto(f"{visitor.site.origin}/confirm#{token}")
    opened.get_by_role("button", name="Create the account").click()
    expect(opened.get_by_role("status")).to_have_text("Welcome.")
    opened.goto("about:blank")
    opened.goto(f"{visitor.site.origin}/confirm#something")
    expect(opened.get_by_role("status")).to_have_text("Not a registration.")
