"""The pages in a real Chromium: seen, read out, without room, without scripts, forged.

What axe-core finds is what it can see: the order in which a screen reader reads, and
whether the words are the right ones, is not among it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import Visitor
from tests.patience import PATIENCE
from tests.server.shown import STATES, TOKEN, shown
from tests.server.test_page_forms import PAGES
from tests.strangers.node import HERE
from watchword.server.csrf import FIELD, FORM_COOKIE
from watchword.server.edge import Edge
from watchword.server.endpoints import ENDPOINTS
from watchword.server.endpoints.pages.files import FILES
from watchword.server.pages.rendering import HEADERS, HTML
from watchword.server.routing import routed

ORIGIN: Final = "https://pages.test"
STATIC: Final = resources.files("watchword.server") / "static"
AXE: Final = HERE / "node_modules/axe-core/axe.min.js"
LOOKED_AT: Final = (
    "sign-in, wrong",
    "sign-in, password_changed",
    "sign-in, already",
    "second-step, passkey",
    "second-step, totp, code",
    "second-step, recovery_code",
    "prove, totp",
    "enrol, wrong",
    "enrol, elsewhere",
    "add-app, wrong",
    "add-passkey, wrong",
    "recovery-codes",
    "sign-in, for a client",
    "sign-in, for a client, as another",
    "consent, for a client",
    "consent, for a client, local",
    "error, for a client",
    "signed-out, client asks",
    "account, apps",
    "register, all wrong",
    "check-mail, again",
    "check-mail, kept here",
    "forgot",
    "code, reset, spent",
    "confirm, name taken",
    "confirm, not sure",
    "reset, code wrong",
    "account, password_changed 2",
    "account, address wrong",
    "account, factor wrong",
    "account, codes left 3",
    "error, too_many 5",
)
# WCAG 2.2 §1.4.12: what a reader may set without losing anything.
SPACED: Final = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important;
    word-spacing: .16em !important } p { margin-bottom: 2em !important }`);
  document.adoptedStyleSheets = [sheet];
}"""
SCROLLED: Final = """() => {
  window.scrollBy(-1000, 0);
  return window.scrollX;
}"""
# What the user opens, and what a browser that lacks something does not show.
UNFOLDED: Final = """() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const hidden = "[data-copy], [data-passkey], [data-needs-passkeys], [data-failed]";
  for (const one of document.querySelectorAll(hidden)) one.hidden = false;
}"""
WIDER: Final = """() => [...document.querySelectorAll("body, body *")]
  .filter((one) => !one.closest(".vh, .skip") &&
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map((one) => one.outerHTML.slice(0, 80))"""


class Look(NamedTuple):
    scheme: Literal["light", "dark"]
    width: int
    tag: str


LOOKS: Final = (Look("light", 1280, "en"), Look("dark", 320, "de"))
VIOLATIONS: Final = """(options) => axe.run(options).then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))"""
# The other rules look at what is the same in either scheme and at any width.
OF_THE_LOOK: Final = ("color-contrast", "scrollable-region-focusable", "target-size")


class Shown:
    """Pages from nowhere: each state at `/<number>`, with the files and the policy."""

    def __init__(self, page: Page, tag: str) -> None:
        self.page = page
        self.tag = tag
        self.asked: list[tuple[str, str, str | None]] = []
        self.state = ""
        self.answer = "confirm, registration"
        self.faults: list[str] = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda message: self._heard(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.context.route("**/*", self._fulfil)

    def _heard(self, text: str) -> None:
        # The link of a message does not know the name that belongs to the password: the
        # address is masked. A password manager must not keep that one.
        is_linked = self.state.startswith(("reset", "confirm"))
        if "username fields" not in text or not is_linked:
            self.faults.append(text)

    def _fulfil(self, route: Route) -> None:
        request = route.request
        path = urlsplit(request.url).path.removeprefix("/")
        if path.startswith("pages/"):
            file, media_type = FILES[path.removeprefix("pages/")]
            body = (STATIC / file).read_bytes()
            route.fulfill(body=body, content_type=media_type)
            return
        self.asked.append((request.method, request.url, request.post_data))
        state = self.answer if request.method == "POST" else list(STATES)[int(path)]
        route.fulfill(body=shown(state, self.tag), content_type=HTML, headers=HEADERS)

    def open(self, state: str, fragment: str = "") -> None:
        self.state = state
        number = list(STATES).index(state)
        self.page.goto(f"{ORIGIN}/{number}{fragment}")


@contextmanager
def showing(chromium: Browser, look: Look, **options: Any) -> Iterator[Shown]:
    context = chromium.new_context(
        viewport={"width": look.width, "height": 900},
        color_scheme=look.scheme,
        **options,
    )
    shown_pages = Shown(context.new_page(), look.tag)
    yield shown_pages
    context.close()
    assert shown_pages.faults == []


def test_axe_finds_nothing_and_nothing_runs_out_of_the_window(
    chromium: Browser,
) -> None:
    """Wide and light, narrow and dark, in German, which is the longer one.

    Nor with letters and lines further apart, nor from right to left. The focus begins
    at the errors, each of which leads to its field.
    """
    axe = AXE.read_text()
    with showing(chromium, Look("light", 1280, "de")) as pages:
        page = pages.page
        for state in LOOKED_AT:
            page.set_viewport_size({"width": 1280, "height": 900})
            pages.open(state)
            if STATES[state].faults:
                expect(page.locator(".summary")).to_be_focused()
            if state == "register, all wrong":
                page.keyboard.press("Tab")
                page.keyboard.press("Enter")
                expect(page.locator("#email")).to_be_focused()
            page.evaluate(UNFOLDED)
            page.evaluate(axe)
            for look, rules in ((LOOKS[0], {}), (LOOKS[1], {"runOnly": OF_THE_LOOK})):
                page.set_viewport_size({"width": look.width, "height": 900})
                page.emulate_media(color_scheme=look.scheme)
                assert page.evaluate(VIOLATIONS, rules) == [], (state, look)
                assert page.evaluate(WIDER) == [], (state, look)
            page.evaluate(SPACED)
            assert page.evaluate(WIDER) == [], state
            page.evaluate("document.documentElement.dir = 'rtl'")
            assert page.evaluate(SCROLLED) == 0, state


def test_the_code_of_a_link_leaves_the_address_and_is_only_looked_at(
    chromium: Browser,
) -> None:
    """The script sends it once, asks for the next page, and presses nothing there."""
    with showing(chromium, LOOKS[0]) as pages:
        pages.open("code, confirm", f"#{TOKEN}")
        button = pages.page.get_by_role("button", name="Create the account")
        expect(button).to_be_visible()
        (opened, looked) = pages.asked
        assert opened[0] == "GET"
        assert looked[:2] == ("POST", pages.page.url)
        sent = parse_qs(looked[2] or "")
        assert sent == {FIELD: ["a-token"], "step": ["look"], "token": [TOKEN]}
        assert "#" not in pages.page.url
        pages.page.go_back()
        assert pages.page.url == "about:blank"  # where the tab began
        assert len(pages.asked) == 2

        pages.answer = "enrol, code"
        pages.open("enrol", f"#{TOKEN}")
        expect(pages.page.locator("#token")).to_have_value(TOKEN)
        looked = pages.asked[-1]
        assert parse_qs(looked[2] or "") == {FIELD: ["a-token"], "token": [TOKEN]}


@pytest.fixture
def served(visitor: Visitor) -> Visitor:
    """A visitor of a server that has a page with a form."""
    operations = (*ENDPOINTS, *PAGES)
    visitor.site.line.application = Edge(routed(operations), operations, log=None)
    return visitor


def test_a_form_is_sent_by_our_page_and_by_no_other(served: Visitor) -> None:
    """A page without a referrer has no origin either (Fetch §3.2), and is accepted."""
    page = served.context.new_page()
    page.goto(f"{served.site.origin}/sign-in")
    page.locator("#username").fill("mara")
    page.locator("#password").fill("a password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("body")).to_have_text("as mara")
    sent = served.site.line.sent_to("/sign-in")
    assert sent["origin"] == "null"
    assert sent["sec-fetch-site"] == "same-origin"
    assert FORM_COOKIE in sent["cookie"]

    served.site.line.pages["/evil"] = (
        f'<!doctype html><title>evil</title><form method="post" '
        f'action="{served.site.origin}/sign-in"><input name="username" value="eve">'
        f"<button>Win</button></form>"
    )
    page.goto(f"{served.site.elsewhere}/evil")
    page.get_by_role("button", name="Win").click()
    expect(page.get_by_role("heading")).to_have_text("This was not accepted")
    assert served.site.line.sent_to("/sign-in")["sec-fetch-site"] == "cross-site"
