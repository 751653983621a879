"""A Chromium for all files; a new server, an empty jar and storage for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.serving import Site
from tests.patience import PATIENCE
from tests.scenarios.api import PASSWORD
from tests.server.test_docs_page import CHROMIUM, LAUNCH_ARGS

# What every tab has: a client, and the events that it got.
START: Final = """
async ([module, options]) => {
  const { createClient } = await import(module);
  window.auth = createClient(options);
  window.events = [];
  for (const type of ["refreshed", "signedout"]) {
    auth.addEventListener(type, ({ detail }) => events.push(detail?.code ?? type));
  }
  return auth.ready;
}
"""
CALL: Final = """
([url, options]) => auth.fetch(url, options)
  .then(({ status }) => status, (error) => error.code ?? error.name)
"""
STORED: Final = """
() => new Promise((resolve) => {
  const opening = indexedDB.open("watchword", 1);
  opening.onsuccess = () => {
    const database = opening.result;
    const all = database.transaction("sessions").objectStore("sessions").getAll();
    all.onsuccess = () => { database.close(); resolve(all.result); };
  };
})
"""
# The page's clock is run ahead by a test, and not by how long the browser takes.
PATIENT: Final = """
() => {
  const wait = window.setTimeout;
  window.setTimeout = (work, time) => (time === 15000 ? 0 : wait(work, time));
}
"""
# A tab waits a second, and a new one a quarter, for what another one tells it; then it
# refreshes by itself. How long that takes is for the machine to say.
TOLD: Final = """
{
  const wait = window.setTimeout;
  window.setTimeout = (work, time) => {
    const waits = !window.alone && (time === 1000 || time === 250);
    return wait(work, waits ? 300_000 : time);
  };
}
"""
SECURE: Final = "/api/auth/secure"


class Tab:
    """A page with watchword.js in it, `window.auth`."""

    def __init__(self, page: Page, site: Site, options: dict[str, Any]) -> None:
        self.page = page
        self.site = site
        self.options = options

    def load(self, origin: str = "") -> bool:
        """The page anew, of the server's origin; whether somebody is signed in."""
        self.page.goto(f"{origin or self.site.origin}/page")
        module = f"{self.site.origin}/watchword.js"
        ready: bool = self.page.evaluate(START, [module, self.options])
        return ready

    def login(self, password: str = PASSWORD) -> Any:
        return self.page.evaluate(
            """(password) => auth.login("alice", password)
              .then(() => "ok", (error) => error.code ?? error.name)""",
            password,
        )

    def logout(self) -> Any:
        return self.page.evaluate(
            """() => auth.logout()
              .then(() => "ok", (error) => error.code ?? error.name)"""
        )

    def do(self, call: str, *given: Any) -> Any:
        """What a call of the client returns, or the code of its refusal."""
        return self.page.evaluate(
            """([call, given]) => auth[call](...given)
              .then((answer) => answer ?? "ok", (error) => error.code ?? error.name)""",
            [call, given],
        )

    def call(self, url: str = SECURE, **options: Any) -> Any:
        """The status, the code of the refusal, or the name of the error."""
        return self.page.evaluate(CALL, [url, options])

    @property
    def signed_in(self) -> bool:
        signed_in: bool = self.page.evaluate("auth.signedIn")
        return signed_in

    @property
    def events(self) -> list[str]:
        events: list[str] = self.page.evaluate("events.splice(0)")
        return events

    def wait_for(self, event: str) -> None:
        self.page.wait_for_function("(event) => events.includes(event)", arg=event)

    def stored(self) -> Any:
        return self.page.evaluate(STORED)


class Visitor:
    """A person with one browser: one jar, one storage."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site
        self._blank = context.pages
        self._is_changed = False

    def let_tabs_tell(self) -> None:
        """From now on a tab waits to be told, unless its `window.alone` is set."""
        self._is_changed = True
        self.context.add_init_script(TOLD)

    def open(self, **options: Any) -> Tab:
        page = self._blank.pop() if self._blank else self.context.new_page()
        tab = Tab(page, self.site, options)
        tab.load()
        return tab

    def sign_in(self, tabs: int = 1, **options: Any) -> list[Tab]:
        """So many tabs, signed in by the first of them."""
        opened = [self.open(**options) for _ in range(tabs)]
        assert opened[0].login() == "ok"
        for tab in opened:
            tab.wait_for("refreshed")
            assert tab.events == ["refreshed"]
        return opened

    def generation(self) -> int:
        (session,) = self.site.sessions()
        return session.generation

    def leave(self) -> bool:
        """Leave nothing behind; whether the next visitor may have the same browser.

        A renderer costs more than most tests: what can be emptied is used again. What a
        script of every page has changed, as the page's own clock, cannot.
        """
        is_empty = emptied(self.context, self.site.origin, self.site.elsewhere)
        return is_empty and not self._is_changed


def emptied(context: BrowserContext, *origins: str) -> bool:
    """Whether nothing is left in it of these servers, nor in its pages."""
    context.unroute_all()
    context.set_offline(offline=False)
    context.clear_cookies()
    is_changed = not context.pages
    for page in context.pages:
        page.unroute_all()
        page.goto("about:blank")
        is_changed |= page.evaluate("'__pwClock' in window")
    if is_changed:
        return False
    # Another server may get the same port.
    devices = context.new_cdp_session(context.pages[0])
    for origin in origins:
        all_of_it = {"origin": origin, "storageTypes": "all"}
        devices.send("Storage.clearDataForOrigin", all_of_it)
    devices.detach()
    return True


class Others:
    """Browsers besides the visitor's, of the same Chromium: used again, if empty."""

    def __init__(self, chromium: Browser) -> None:
        self._chromium = chromium
        self._left: dict[str, list[BrowserContext]] = {}

    @contextmanager
    def one(self, *origins: str, **options: Any) -> Iterator[BrowserContext]:
        """One that is new at these servers. It has a page already."""
        left = self._left.setdefault(str(options), [])
        if left:
            context = left.pop()
        else:
            context = self._chromium.new_context(**options)
            context.set_default_timeout(PATIENCE * 1000)
            context.new_page()
        yield context
        for page in context.pages[1:]:
            page.close()
        if emptied(context, *origins):
            left.append(context)
        else:
            context.close()


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=LAUNCH_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture(scope="package")
def left() -> list[BrowserContext]:
    """What the visitor before has left, empty."""
    return []


@pytest.fixture(scope="package")
def others(chromium: Browser) -> Others:
    return Others(chromium)


@pytest.fixture
def visitor(
    chromium: Browser, site: Site, left: list[BrowserContext]
) -> Iterator[Visitor]:
    context = left.pop() if left else chromium.new_context()
    context.set_default_timeout(PATIENCE * 1000)
    visitor = Visitor(context, site)
    yield visitor
    if visitor.leave():
        left.append(context)
    else:
        context.close()
