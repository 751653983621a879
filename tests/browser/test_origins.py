"""Where the access token goes, and where it does not; and a server that is busy."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import JSONResponse, Response

from tests.browser.conftest import SECURE, Tab, Visitor
from tests.browser.serving import REFRESH, Site
from watchword.core.limits import ACCESS_TTL

LEAKING_URL = {"url": "http://auth.example"}
LEAKING_ORIGIN = {"origins": ["http://api.example"]}


def test_the_token_goes_to_the_server_and_to_no_other_origin(visitor: Visitor) -> None:
    """Not even asked for by name; and nothing is sent at all."""
    (tab,) = visitor.sign_in()
    there = f"{visitor.site.elsewhere}/elsewhere"
    assert tab.call(there) == "TypeError"
    assert tab.call("//localhost/elsewhere") == "TypeError"
    assert visitor.site.line.count("/elsewhere") == 0
    assert tab.call(f"{visitor.site.origin}{SECURE}") == 200


def test_an_origin_on_the_list_gets_the_token(visitor: Visitor) -> None:
    (tab,) = visitor.sign_in(origins=[visitor.site.elsewhere])
    assert tab.call(f"{visitor.site.elsewhere}/elsewhere") == 200
    sent = visitor.site.line.sent_to("/elsewhere")["authorization"]
    assert sent.startswith("Bearer eyJ")


def test_a_redirect_does_not_take_the_token_along(visitor: Visitor) -> None:
    """The browser itself strips it, though the other origin is on the list."""
    (tab,) = visitor.sign_in(origins=[visitor.site.elsewhere])
    assert tab.call("/away") == 200
    assert "authorization" in visitor.site.line.sent_to("/away")
    assert "authorization" not in visitor.site.line.sent_to("/elsewhere")


def test_options_that_would_leak_are_refused(visitor: Visitor) -> None:
    tab = visitor.open()
    refused = tab.page.evaluate(
        """async (each) => {
          const { createClient } = await import("/watchword.js");
          return each.map((options) => {
            try { createClient(options); } catch ({ name }) { return name; }
          });
        }""",
        [LEAKING_URL, LEAKING_ORIGIN, {"mode": "localStorage"}, {}],
    )
    assert refused == ["TypeError", "TypeError", "TypeError", None]


def test_a_page_of_any_origin_may_import_the_module(visitor: Visitor) -> None:
    """What it may do then is for the server's list of origins: here, nothing."""
    options = {"url": visitor.site.origin, "mode": "bearer"}
    tab = Tab(visitor.context.new_page(), visitor.site, options)
    assert tab.load(visitor.site.elsewhere) is False
    assert tab.login() == "TypeError"


def test_a_page_of_another_site_has_a_session_that_is_bound(
    visitor: Visitor, tmp_path: Path
) -> None:
    """Where it is on the server's list: all that it needs can be read across."""
    with Site(tmp_path, allows_elsewhere=True) as site:
        options = {"url": site.origin, "mode": "bearer", "dpop": True}
        tab = Tab(visitor.context.new_page(), site, options)
        tab.load(site.elsewhere)
        assert tab.login() == "ok"
        assert tab.call(site.origin + SECURE) == 200
        site.clock.advance(ACCESS_TTL)
        assert tab.call(site.origin + SECURE) == 200
        assert site.line.count() > 0
        assert tab.logout() == "ok"
        assert site.sessions() == []


def test_a_busy_server_is_asked_again_and_nobody_is_signed_out(
    visitor: Visitor,
) -> None:
    """With the same key, and not before the time that it names."""
    (tab,) = visitor.sign_in(mode="bearer")
    busy: list[Response] = [answer(503), answer(429, 1)]
    line = visitor.site.line
    line.fault = lambda path: busy.pop() if path == REFRESH and busy else None
    visitor.site.clock.advance(ACCESS_TTL)
    assert tab.call() == 200
    assert tab.signed_in
    sent = [h["idempotency-key"] for _, path, h in line.seen if path == REFRESH]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert visitor.generation() == 1


def test_a_refusal_that_is_not_the_sessions_end_signs_nobody_out(
    visitor: Visitor,
) -> None:
    """Such as that of a proxy, or of a page that is not on the server's list."""
    (tab,) = visitor.sign_in()
    visitor.site.clock.advance(ACCESS_TTL)
    line = visitor.site.line
    refusals = {"unknown": Response(status_code=401)}
    refusals["csrf_rejected"] = JSONResponse({"code": "csrf_rejected"}, 403)
    for code, refusal in refusals.items():
        line.fault = {REFRESH: refusal}.get
        assert (tab.call(), tab.signed_in) == (code, True)
    line.fault = lambda _: None
    assert tab.call() == 200


def test_a_server_that_is_busy_for_long_is_left_alone(visitor: Visitor) -> None:
    """Calls fail at once with its code, and it hears nothing until the time is over."""
    tab = visitor.open()
    tab.page.clock.install()
    tab.load()
    tab.login()
    line = visitor.site.line
    line.fault = lambda path: answer(503, 60) if path == REFRESH else None
    visitor.site.clock.advance(ACCESS_TTL)
    assert [tab.call() for _ in range(3)] == ["store_unavailable"] * 3
    assert line.count() == 1
    assert tab.signed_in
    line.fault = lambda _: None
    tab.page.clock.run_for(60_000)
    assert tab.call() == 200


def answer(status: int, seconds: int | None = None) -> Response:
    body = {"code": "store_unavailable", "detail": "Later."}
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return JSONResponse(body, status, headers)
