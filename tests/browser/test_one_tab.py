"""watchword.js in one tab of a real Chromium."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import PATIENT, SECURE, Visitor
from tests.browser.serving import REFRESH
from tests.scenarios.api import BASE
from watchword.core.limits import ACCESS_TTL, HOUR, MINUTE

MODES = pytest.mark.parametrize("mode", ["cookie", "bearer"])
# Where the token is kept decides little of these: the other mode is a repetition.
COOKIE = pytest.mark.parametrize(
    "mode", ["cookie", pytest.param("bearer", marks=pytest.mark.slow)]
)


@MODES
def test_it_signs_in_calls_and_signs_out(visitor: Visitor, mode: str) -> None:
    """A wrong password is a code; a reload stays signed in; a logout ends it all.

    No token is where scripts look for them; by cookie none is in any storage.
    """
    tab = visitor.open(mode=mode)
    assert (tab.call(), tab.signed_in) == ("signed_out", False)
    assert tab.login("not the password") == "invalid_credentials"
    assert (tab.login(), tab.signed_in, tab.call()) == ("ok", True, 200)
    assert tab.load() is True
    assert tab.call() == 200
    seen = "document.cookie + JSON.stringify([localStorage, sessionStorage, auth])"
    assert tab.page.evaluate(seen) == "[{},{},{}]"
    stored = json.dumps(tab.stored())
    assert ("eyJ" in stored, "ww_rt_" in stored) == (False, mode == "bearer")
    assert tab.login() == "ok"
    assert len(visitor.site.sessions()) == 1
    assert tab.logout() == "ok"
    assert (tab.signed_in, tab.call()) == (False, "signed_out")
    assert tab.events[-1] == "logout"
    assert tab.stored() == []
    assert visitor.site.sessions() == []
    assert tab.load() is False


def test_an_expired_token_costs_one_refresh_and_one_repetition(
    visitor: Visitor,
) -> None:
    """Also for ten calls at once, and the body is sent again."""
    (tab,) = visitor.sign_in()
    visitor.site.clock.advance(ACCESS_TTL)
    calls = tab.page.evaluate(
        """(url) => Promise.all(Array.from({ length: 10 }, () => auth.fetch(url)))
          .then((answers) => answers.map(({ status }) => status))""",
        SECURE,
    )
    assert calls == [200] * 10
    assert visitor.site.line.count() == 1
    assert tab.events == ["refreshed"]
    visitor.site.clock.advance(ACCESS_TTL)
    assert tab.call(f"{BASE}/logout-all", method="POST", body="{}") == 200


def test_a_stream_is_not_sent_again(visitor: Visitor) -> None:
    """The caller gets the 401, and by then there is a fresh token for the next call."""
    (tab,) = visitor.sign_in()
    refusals: list[Route] = []

    def refuse(route: Route) -> None:
        # Streams travel over HTTP/2 alone, which this server does not speak.
        refusals.append(route)
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        route.fulfill(status=401, headers=challenge)

    tab.page.route("**/upload", refuse)
    script = """(url) => auth.fetch(url, {
        method: "POST", duplex: "half", body: new Blob(["{}"]).stream(),
      }).then(({ status }) => status, String)"""
    assert tab.page.evaluate(script, "/upload") == 401
    assert (len(refusals), visitor.site.line.count()) == (1, 1)
    assert tab.call("/upload", method="POST", body="{}") == 401
    assert (len(refusals), visitor.site.line.count()) == (3, 2)


@COOKIE
def test_what_is_no_answer_of_the_server_replaces_nothing(
    visitor: Visitor, mode: str
) -> None:
    """A gateway says 200 and something of its own: the same is asked for again."""
    (tab,) = visitor.sign_in(mode=mode)
    visitor.site.clock.advance(ACCESS_TTL)
    body = json.dumps({"status": "ok"})
    tab.page.route(
        f"**{REFRESH}",
        lambda route: route.fulfill(content_type="application/json", body=body),
        times=1,
    )
    assert tab.call() == 200
    assert (tab.signed_in, visitor.generation()) == (True, 1)


def test_the_sleeping_laptop(visitor: Visitor) -> None:
    """Hours later no timer has fired, and the page's clock may know nothing of them."""
    (tab,) = visitor.sign_in()
    visitor.site.clock.advance(8 * HOUR)
    assert tab.call() == 200
    assert (tab.signed_in, visitor.generation()) == (True, 1)


def test_a_laptop_that_knows_how_long_it_slept_sends_no_dead_token(
    visitor: Visitor,
) -> None:
    """Whichever clock has moved on: the refresh comes before the call."""
    tab = visitor.open()
    tab.page.clock.install()
    tab.load()
    tab.login()
    visitor.site.clock.advance(8 * HOUR)
    tab.page.clock.fast_forward(8 * HOUR)
    before = visitor.site.line.count(SECURE)
    assert tab.call() == 200
    assert visitor.site.line.count(SECURE) == before + 1
    assert visitor.generation() == 1


def test_a_page_in_use_refreshes_ahead_and_an_idle_one_does_not(
    visitor: Visitor,
) -> None:
    """So nobody waits, and an open page alone keeps no session alive."""
    tab = visitor.open()
    tab.page.clock.install()
    tab.load()
    tab.page.evaluate(PATIENT)
    tab.login()
    assert tab.call() == 200
    assert tab.events == ["refreshed"]
    visitor.site.clock.advance(ACCESS_TTL - 1000)
    tab.page.clock.run_for(ACCESS_TTL - 1000)
    tab.wait_for("refreshed")
    assert visitor.site.line.count() == 1
    tab.page.clock.run_for(10 * MINUTE)
    tab.page.evaluate("fetch('/healthz').then(() => fetch('/healthz'))")
    assert visitor.site.line.count() == 1


def test_offline_is_no_sign_out(visitor: Visitor) -> None:
    """A network error, at once; the next call works when the network is back."""
    (tab,) = visitor.sign_in(mode="bearer")
    visitor.site.clock.advance(ACCESS_TTL)
    failed: list[str] = []
    tab.page.on("requestfailed", lambda request: failed.append(request.url))
    visitor.context.set_offline(True)
    assert tab.call() == "TypeError"
    assert tab.logout() == "TypeError"
    assert (tab.signed_in, tab.events) == (True, [])
    assert len(failed) == 2
    visitor.context.set_offline(False)
    assert tab.call() == 200
    assert visitor.site.line.count(REFRESH) == 1
