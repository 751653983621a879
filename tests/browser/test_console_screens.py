"""The console in Chromium: what is stored stays text, and what is ended is refused."""

from __future__ import annotations

from typing import Final

import httpx2
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.serving import Site
from tests.operated import LISTS, fill
from tests.patience import PATIENCE, until
from tests.rows import each
from tests.scenarios.api import BASE, PASSWORD, bearer
from tests.server.shown import parsed
from watchword.errors import AccessTokenError
from watchword.verify.sync import SyncVerifier

# Each gets out of another place: text, a quoted value, an address, a script, a title.
PAYLOADS: Final = (
    "<script>parent.ran=1</script>",
    "\"'><img/src=x/onerror=parent.ran=1>",
    "javascript:parent.ran=1//",
    "</textarea></title></dialog><svg/onload=parent.ran=1>",
    "{{7*7}}${7*7}<!--\u202e\u2028&lt;b&gt;",
)
SCRIPTS: Final = "../pages/watchword-console.js"
WATCHED: Final = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) =>
  violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
FOUND: Final = """() => [
  ...violations,
  ...(window.ran ? ["ran"] : []),
  ...[...document.querySelectorAll("main a, main form")]
    .map((one) => one.href ?? one.action)
    .filter((one) => !one.startsWith(location.origin + "/")),
]"""


def sign_in(page: Page, site: Site, name: str) -> None:
    page.goto(f"{site.origin}/sign-in")
    page.locator("#username").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")


def register(site: Site, name: str, *roles: str) -> None:
    site.run(site.engine.accounts.register(name, PASSWORD, roles=roles))


def fault_in(html: str, text: str) -> str:
    """What the page has that is not ours, or that the text is not there; else ""."""
    document = parsed(html)
    for one in document.iter():
        given = {name for name in one.attrib if name[:2] == "on" or name == "style"}
        is_script = one.tag == "script" and one.get("src") != SCRIPTS
        if given or is_script or one.tag == "img" or ":" in one.get("href", ""):
            return f"{one.tag} {one.attrib}"
    return "" if text in "".join(document.itertext()) else "the text is not there"


def test_what_is_stored_stays_text_on_every_screen(visitor: Visitor) -> None:
    """Names, addresses, roles, programs, clients, answers of webhooks, events."""
    site, page = visitor.site, visitor.context.new_page()
    register(site, "root", "admin")
    sign_in(page, site, "root")
    page.add_init_script(WATCHED)
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    made = {text: site.run(fill(site.engine, text)) for text in PAYLOADS}
    rows: list[tuple[str, tuple[str, ...]]] = [(name, PAYLOADS) for name in LISTS]
    rows += [(name, (text,)) for text in PAYLOADS for name in made[text].screens]
    for checks, (screen, texts) in each(rows):
        with checks:
            answer = page.goto(f"{site.origin}/console/{screen}")
            assert answer is not None
            assert answer.status == 200
            for text in texts:
                assert fault_in(answer.text(), text) == ""
            assert page.evaluate(FOUND) == []
            assert heard == []


def test_a_disabled_account_is_refused_everywhere(
    visitor: Visitor, chromium: Browser
) -> None:
    """By the browser's cookie, by a bearer, and by the verifier of another program.

    What an operator does is not undone by what the user does meanwhile.
    """
    site, console = visitor.site, visitor.context.new_page()
    register(site, "root", "admin")
    _, secret = site.run(
        site.engine.clients.add("orders", confidential=True, rights=["feed"])
    )
    user = chromium.new_context().new_page()
    user.set_default_timeout(PATIENCE * 1000)
    sign_in(user, site, "alice")
    body = {"username": "alice", "password": PASSWORD}
    access = httpx2.post(f"{site.origin}{BASE}/login", json=body).json()["accessToken"]
    with SyncVerifier(site.origin, feed=("orders", secret or "")) as verifier:
        assert verifier.verify(access).sub
        sign_in(console, site, "root")
        console.goto(f"{site.origin}/console/accounts?q=ali")
        console.get_by_role("link", name="alice").click()
        console.get_by_role("button", name="Disable").click()
        expect(console.get_by_role("button", name="Cancel")).to_be_focused()
        console.get_by_role("button", name="Disable the account").click()
        expect(console.get_by_role("status")).to_contain_text("2 sessions ended")
        expect(console.get_by_role("heading", level=1)).to_contain_text("Disabled")
        answer = httpx2.get(f"{site.origin}{BASE}/secure", headers=bearer(access))
        assert answer.status_code == 401
        user.reload()
        expect(user.get_by_role("heading", level=1)).to_have_text("Sign in")
        until(lambda: refused(verifier, access))
    user.context.close()


def refused(verifier: SyncVerifier, access: str) -> bool:
    try:
        verifier.verify(access)
    except AccessTokenError:
        return True
    return False
