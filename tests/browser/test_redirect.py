"""watchword.js in a page of another site, which signs its users in by redirect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import pytest

from tests.browser.conftest import SECURE, START, Tab, Visitor
from tests.browser.serving import Site
from tests.scenarios.api import PASSWORD
from watchword.core.policies import PAGES

TOKEN: Final = "/oauth/token"
OTHER_NONCE: Final = """
() => {
  const name = sessionStorage.key(0);
  const waiting = JSON.parse(sessionStorage[name]);
  sessionStorage[name] = JSON.stringify({ ...waiting, nonce: "another" });
}
"""
BACK: Final = """
() => auth.handleRedirect().then((back) => back ?? "nothing", (error) => error.code)
"""


def loses_the_second(site: Site) -> None:
    """The answer to the second exchange: the first is about the nonce alone."""

    def fault(_: str) -> Literal["lost"] | None:
        sent = [(method, path) for method, path, _ in site.line.seen]
        is_one = sent[-1] == ("POST", TOKEN)
        return "lost" if is_one and sent.count(("POST", TOKEN)) == 2 else None

    site.line.fault = fault


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), allows_elsewhere=True) as opened:
        page = f"{opened.elsewhere}/page"
        opened.run(
            opened.engine.clients.add(
                "shop",
                confidential=False,
                redirect_uris=[page],
                post_logout_redirect_uris=[page],
            )
        )
        yield opened


class Shop(Tab):
    """A tab with the page of the other site."""

    def open(self) -> bool:
        return self.load(self.site.elsewhere)

    def goes(self, call: str) -> None:
        """What a call leads to; the page goes away."""
        with self.page.expect_navigation():
            self.page.evaluate(f"() => void auth.{call}")

    def come_back(self) -> Any:
        """What the page makes of the address that the user came back to."""
        self.page.wait_for_url(f"{self.site.elsewhere}/page**")
        module = f"{self.site.origin}/watchword.js"
        self.page.evaluate(START, [module, self.options])
        return self.page.evaluate(BACK)

    def press(self) -> None:
        self.page.locator("main form button").first.click()

    def sign_in(self) -> None:
        self.page.fill("[name=username]", "alice")
        self.page.fill("[name=password]", PASSWORD)
        self.press()


@pytest.fixture
def shop(visitor: Visitor) -> Shop:
    options = {"url": visitor.site.origin, "clientId": "shop", "mode": "bearer"}
    shop = Shop(visitor.context.new_page(), visitor.site, options | {"dpop": True})
    assert not shop.open()
    return shop


def test_a_user_signs_in_at_the_server_and_out_of_both(shop: Shop) -> None:
    """The first answer to the exchange is lost: it is asked for again."""
    site = shop.site
    loses_the_second(site)
    shop.goes("redirectLogin({ appState: { at: 7 }, acrValues: ['aal1'] })")
    shop.sign_in()
    shop.press()  # a page of this machine has to be allowed
    back = shop.come_back()
    assert back["appState"] == {"at": 7}
    assert back["claims"]["aud"] == "shop"
    assert shop.page.url == f"{site.elsewhere}/page"
    assert shop.call(f"{site.origin}{SECURE}") == 200
    assert {one.client_id for one in site.sessions()} == {PAGES, "shop"}
    # Signed in there already: an API that wants a newer proof sends the user along.
    assert shop.open()
    site.clock.advance(1000)
    shop.goes("redirectLogin({ maxAge: 0, prompt: 'login' })")
    shop.sign_in()
    shop.press()
    assert shop.come_back()["claims"]["sub"] == back["claims"]["sub"]
    assert len(site.sessions()) == 2  # the first one of the page has ended
    shop.goes(f"redirectLogout({{ postLogoutRedirectUri: '{site.elsewhere}/page' }})")
    shop.page.wait_for_url(f"{site.elsewhere}/page")
    assert site.sessions() == []
    assert not shop.open()


def test_an_answer_that_this_tab_has_not_asked_for_signs_nobody_in(shop: Shop) -> None:
    site = shop.site
    shop.page.goto(f"{site.elsewhere}/page?code=ww_ac_x&state=x&iss={site.origin}")
    assert shop.come_back() == "nothing"
    shop.goes("redirectLogin()")
    shop.page.goto(f"{site.elsewhere}/page?code=ww_ac_x&state=x&iss={site.origin}")
    assert shop.come_back() == "nothing"
    shop.goes("redirectLogin({ prompt: 'none' })")
    assert shop.come_back() == "login_required"
    assert shop.page.url == f"{site.elsewhere}/page"
    assert shop.page.evaluate("() => sessionStorage.length") == 0
    # A code of another sign-in of this client, as somebody would slip it in.
    assert not shop.open()
    shop.goes("redirectLogin()")
    shop.sign_in()
    shop.press()
    shop.page.wait_for_url(f"{site.elsewhere}/page**")
    shop.page.evaluate(OTHER_NONCE)
    assert shop.come_back() == "id_token_invalid"
    assert not shop.open()
