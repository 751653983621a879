"""The console in Chromium: how operators come in, and each screen as it looks."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.serving import Site
from tests.browser.test_pages import AXE, SPACED, UNFOLDED, VIOLATIONS
from tests.operated import Shown, fill
from tests.rows import each
from tests.scenarios.api import PASSWORD
from watchword.core.limits import ADMIN_RECENT, MINUTE, SECOND
from watchword.metrics.charts import LATENCY_BUCKETS, Figure
from watchword.ports.stats import Stat
from watchword.server.console.frames import MENU

# Wide tables scroll in a box of their own.
WIDER: Final = """() => [document.documentElement.scrollWidth > innerWidth,
  ...[...document.querySelectorAll("body *")]
    .filter((one) => !one.closest(".vh, .skip, .scroll") &&
      one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => one.outerHTML.slice(0, 80))]"""
# What differs from the same in the light.
IN_THE_DARK: Final = {"runOnly": "color-contrast"}
FOUND: Final = {"resultTypes": ["violations"]}
# As long as names may be, and no letter at which one could break.
LONG: Final = "maximiliane-wiesenhuetter-von-hohenfels-" * 2


def come_in(page: Page, origin: str, name: str, asked: str) -> None:
    """From a screen that is asked for to the sign-in, and back."""
    page.goto(f"{origin}/console/{asked}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.locator("#username").fill(name)
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def register(site: Site, name: str, *roles: str) -> None:
    site.run(site.engine.accounts.register(name, PASSWORD, roles=roles))


def test_an_operator_comes_in_and_others_find_nothing(visitor: Visitor) -> None:
    """Back at what was asked for, following what happens; no change by an old proof."""
    site, page = visitor.site, visitor.context.new_page()
    register(site, "root", "admin")
    come_in(page, site.origin, "alice", "overview")
    heading(page, "There is no such page")
    visitor.context.clear_cookies()
    come_in(page, site.origin, "root", "events?type=sign_in.*&account=alice")
    heading(page, "Events")
    expect(page.locator("#type")).to_have_value("sign_in.*")
    expect(page.locator("tbody tr")).to_have_count(1)
    body = {"username": "alice", "password": "wrong"}
    page.evaluate(
        """(body) => fetch("../api/auth/login", {method: "POST",
          headers: {"content-type": "application/json"},
          body: JSON.stringify(body)})""",
        body,
    )
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("sign_in.failed")
    expect(page.locator("[data-tail-says]")).to_have_text("1 new event")

    site.clock.advance(ADMIN_RECENT + SECOND)
    page.goto(f"{site.origin}/console/sessions?account=alice")
    expect(page.get_by_role("button", name="End session of alice")).to_have_count(0)
    page.get_by_role("link", name="Confirm it is you").click()
    page.locator("#password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    heading(page, "Sessions")
    assert urlsplit(page.url).query == "account=alice"
    page.get_by_role("button", name="End session of alice").click()
    expect(page.get_by_role("status")).to_have_text("One session ended.")
    expect(page.get_by_role("heading", level=2)).to_have_text("No live session matches")
    page.reload()
    expect(page.get_by_role("status")).to_have_count(0)


async def _make(site: Site) -> Shown:
    """Rows with long names, and figures of some minutes."""
    engine = site.engine
    now = engine.clock() // MINUTE * MINUTE
    figures = [
        *((Figure.SIGN_INS, result) for result in ("success", "failed", "throttled")),
        *((Figure.REFRESHES, verdict) for verdict in ("rotated", "retry", "reused")),
        *((Figure.REFRESH_LATENCY, bucket) for bucket in LATENCY_BUCKETS),
        *((Figure.THROTTLED, kind) for kind in ("sign_in", "mail", "code", "other")),
        (Figure.REUSE, ""),
        (Figure.NEW_ACCOUNTS, ""),
    ]
    levels = (Figure.SESSIONS_LIVE, Figure.ACCOUNTS, Figure.HASH_QUEUE)
    minutes = [now - k * MINUTE for k in range(1, 50, 7)]
    await engine.stores.stats.add(
        [Stat(at, name, label, at % 11) for at in minutes for name, label in figures],
        [Stat(at, name, "", 10_000_000 + at % 7) for at in minutes for name in levels],
    )
    return await fill(engine, LONG)


def test_each_screen_is_sound_in_each_look(visitor: Visitor, chromium: Browser) -> None:
    """Light and wide, dark and narrow, with letters further apart, and bare.

    Nothing breaks the policy or runs out of the window; axe finds nothing. Without
    JavaScript the menu opens all the same.
    """
    site, page = visitor.site, visitor.context.new_page()
    register(site, "root", "admin")
    made = site.run(_make(site))
    screens = [*MENU, "events?account=x", "accounts?q=zzz"]
    screens += ["clients?add", "webhooks?add", *made.screens]
    come_in(page, site.origin, "root", "overview")
    heading(page, "Overview")
    jar: Any = visitor.context.storage_state()
    bare = chromium.new_context(
        java_script_enabled=False,
        storage_state=jar,
        viewport={"width": 320, "height": 900},
    ).new_page()
    faults: list[str] = []
    for one in (page, bare):
        one.on("console", lambda message: faults.append(message.text))
        one.on("pageerror", lambda error: faults.append(str(error)))
    axe = AXE.read_text()
    for checks, screen in each(screens):
        with checks:
            page.set_viewport_size({"width": 1280, "height": 900})
            page.emulate_media(color_scheme="light")
            page.goto(f"{site.origin}/console/{screen}")
            page.evaluate(UNFOLDED)
            page.evaluate(axe)
            assert page.evaluate(VIOLATIONS, FOUND) == []
            assert page.evaluate(WIDER) == [False]
            page.set_viewport_size({"width": 320, "height": 900})
            page.emulate_media(color_scheme="dark")
            assert page.evaluate(VIOLATIONS, IN_THE_DARK) == []
            assert page.evaluate(WIDER) == [False]
            page.evaluate(SPACED)
            assert page.evaluate(WIDER) == [False]
            bare.goto(f"{site.origin}/console/{screen}")
            bare.get_by_role("button", name="Menu").click()
            expect(bare.get_by_role("link", name="Keys", exact=True)).to_be_visible()
            assert [one for one in faults if "422" not in one] == []
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    bare.context.close()
