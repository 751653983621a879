"""Browser sessions in a real Chromium: its jar, its Sec-Fetch headers, its preflights.

Pages come from `Pages`, one HTTPS server per port: by the name 127.0.0.1 of the same
site as the API, by the name localhost of another one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.patience import PATIENCE
from tests.server.live import PASSWORD, Live
from tests.server.test_docs_page import CHROMIUM, LAUNCH_ARGS
from tests.server.test_https import certificate

NAME = "__Host-watchword"

# What the pages run. `who` is the address of the API, "" for their own.
SCRIPT = """
async ([who, call, options]) => {
  const answer = await fetch(`${who}/api/auth/${call}`, {method: "POST", ...options})
    .catch(error => ({status: 0, text: () => String(error)}));
  let body = await answer.text();
  try { body = JSON.parse(body); } catch {}
  return {status: answer.status, type: answer.type ?? "failed", body};
}
"""
LOGIN = {
    "headers": {"Content-Type": "application/json"},
    "body": f'{{"username":"admin","password":"{PASSWORD}","transport":"cookie"}}',
}
ASKED = {"headers": {"X-Requested-With": "app"}}
ABROAD = {"credentials": "include"}


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title>")

    def log_message(self, *_: Any) -> None:
        pass


class Pages:
    """Blank pages over HTTPS, on a port of their own of 127.0.0.1 and localhost."""

    def __init__(self, cert: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Blank)
        self._server.daemon_threads = True
        # The handshake is the connection's thread's, so that none keeps others waiting.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Place:
    """The API, an allowed origin of its site, and one that is not allowed."""

    def __init__(self, live: Live, allowed: Pages, other: Pages, spki: str) -> None:
        self.live = live
        self.api = live.url
        self.allowed = f"https://127.0.0.1:{allowed.port}"
        self.same_site = f"https://127.0.0.1:{other.port}"
        self.cross_site = f"https://localhost:{other.port}"
        self.database = live.data / "watchword.db"
        self.spki = spki


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("browser")
    cert, key = certificate(folder)
    public = x509.load_pem_x509_certificate(cert.read_bytes()).public_key()
    der = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    spki = base64.b64encode(hashlib.sha256(der).digest()).decode()
    with Pages(cert, key) as allowed, Pages(cert, key) as other:
        flags = ("--tls-cert", str(cert), "--tls-key", str(key))
        context = ssl.create_default_context(cafile=str(cert))
        listed = f"https://127.0.0.1:{allowed.port}"
        with Live(
            folder / "data", *flags, context=context, WATCHWORD_CORS_ORIGINS=listed
        ) as live:
            yield Place(live, allowed, other, spki)


@pytest.fixture(scope="module")
def chromium(place: Place) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    # Of this key the certificate counts as good: Chromium has no Clear-Site-Data where
    # errors are merely ignored.
    trusted = f"--ignore-certificate-errors-spki-list={place.spki}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*LAUNCH_ARGS, trusted]
        )
        yield browser
        browser.close()


class Visitor:
    """A person with one browser, and what its jar holds."""

    def __init__(self, context: BrowserContext, place: Place) -> None:
        self.context = context
        self.place = place

    def open(self, origin: str) -> Page:
        page = self.context.new_page()
        page.goto(f"{origin}/healthz")
        return page

    def sign_in(self) -> Page:
        """A page of the API's own origin, signed in."""
        page = self.open(self.place.api)
        answer = call(page, "login", LOGIN)
        assert answer["status"] == 200, answer
        return page

    def pass_the_hold_off(self) -> None:
        """As if all sessions had rotated a minute ago: the next refresh does again."""
        with contextlib.closing(sqlite3.connect(self.place.database)) as database:
            database.execute("UPDATE sessions SET rotated_at = rotated_at - 60000")
            database.commit()

    @property
    def jar(self) -> str:
        kept = {c.get("name"): c.get("value", "") for c in self.context.cookies()}
        return kept.get(NAME, "")


@pytest.fixture
def visitor(chromium: Browser, place: Place) -> Iterator[Visitor]:
    # A blank page of the API's own may call nobody; one with scripts is slow to load.
    context = chromium.new_context(bypass_csp=True)
    context.set_default_timeout(PATIENCE * 1000)
    yield Visitor(context, place)
    context.close()


def call(page: Page, path: str, options: dict[str, Any], who: str = "") -> Any:
    """Status, type of response and body, as the page's own fetch sees them."""
    return page.evaluate(SCRIPT, [who, path, options])


def test_a_page_signs_in_refreshes_and_signs_out_without_seeing_the_token(
    visitor: Visitor,
) -> None:
    """The cookie is there, for the browser alone, and gone after the logout."""
    page = visitor.sign_in()
    (cookie,) = visitor.context.cookies()
    assert cookie.get("value", "").startswith("ww_rt_")
    assert (cookie.get("name"), cookie.get("domain")) == (NAME, "127.0.0.1")
    assert (cookie.get("path"), cookie.get("sameSite")) == ("/", "Strict")
    assert cookie.get("httpOnly")
    assert cookie.get("secure")
    page.evaluate("localStorage.setItem('kept', '1')")
    assert page.evaluate("document.cookie") == ""
    visitor.pass_the_hold_off()
    answer = call(page, "refresh", ASKED)
    assert answer["status"] == 200
    assert "ww_rt_" not in str(answer["body"])
    assert visitor.jar not in {"", cookie.get("value")}
    assert call(page, "refresh", {})["body"]["code"] == "csrf_rejected"
    assert call(page, "logout", ASKED)["status"] == 200
    assert visitor.jar == ""
    assert page.evaluate("localStorage.getItem('kept')") is None
    assert call(page, "refresh", ASKED)["body"]["code"] == "refresh_invalid"
    assert call(page, "logout", ASKED)["status"] == 200


def test_two_tabs_that_refresh_at_once_both_stay_signed_in(visitor: Visitor) -> None:
    """Ten at once from each of them get one new cookie, and it works."""
    tabs = [visitor.sign_in(), visitor.open(visitor.place.api)]
    before = visitor.jar
    visitor.pass_the_hold_off()
    many = """() => Promise.all(Array.from({length: 10}, () =>
      fetch("/api/auth/refresh", {
        method: "POST", headers: {"X-Requested-With": "app"}
      }).then(answer => answer.status)))"""
    for tab in tabs:
        tab.evaluate(f"window.answers = ({many})()")
    for tab in tabs:
        assert tab.evaluate("window.answers") == [200] * 10
    after = visitor.jar
    assert after not in {"", before}
    visitor.pass_the_hold_off()
    for tab in tabs:
        assert call(tab, "refresh", ASKED)["status"] == 200
    assert visitor.jar not in {"", after}


@pytest.mark.parametrize(("where", "status"), [("cross_site", 400), ("same_site", 403)])
def test_a_foreign_page_changes_nothing(
    visitor: Visitor, where: str, status: int
) -> None:
    """By no form and no fetch; nor can it read an answer, or replace the cookie.

    A page of the same site has the browser send the cookie: SameSite does not help.
    """
    ours = visitor.sign_in()
    visitor.pass_the_hold_off()
    call(ours, "refresh", ASKED)
    visitor.pass_the_hold_off()
    jar, api = visitor.jar, visitor.place.api
    page = visitor.open(getattr(visitor.place, where))
    for path in ("refresh", "logout"):
        for options in (ABROAD, ABROAD | ASKED, LOGIN | ABROAD):
            assert call(page, path, options, api)["type"] == "failed"
        no_cors = {"mode": "no-cors"} | ABROAD
        assert call(page, path, no_cors | ASKED, api)["type"] == "opaque"
        assert call(page, path, no_cors, api)["type"] == "opaque"
        with page.expect_response(f"**/api/auth/{path}") as answer:
            page.evaluate(
                """url => {
                  const form = document.createElement("form");
                  form.method = "POST"; form.action = url; form.target = "elsewhere";
                  document.body.append(form);
                  const frame = document.createElement("iframe");
                  frame.name = "elsewhere"; document.body.append(frame);
                  form.submit();
                }""",
                f"{api}/api/auth/{path}",
            )
        assert answer.value.status == status
        page.goto(page.url)
    for options in (LOGIN | ABROAD, {"body": LOGIN["body"], "mode": "no-cors"}):
        assert call(page, "login", options, api)["type"] in {"failed", "opaque"}
    assert visitor.jar == jar
    assert call(ours, "refresh", ASKED)["status"] == 200
    assert visitor.jar != jar


def test_an_allowed_origin_of_the_same_site_has_a_session(visitor: Visitor) -> None:
    """With `credentials: "include"`, and it can read what goes wrong."""
    api = visitor.place.api
    page = visitor.open(visitor.place.allowed)
    assert call(page, "login", LOGIN | ABROAD, api)["status"] == 200
    assert visitor.jar.startswith("ww_rt_")
    assert page.evaluate("document.cookie") == ""
    assert call(page, "refresh", ASKED | ABROAD, api)["status"] == 200
    bare = call(page, "refresh", ABROAD, api)
    assert (bare["status"], bare["body"]["code"]) == (403, "csrf_rejected")
    assert call(page, "logout", ASKED | ABROAD, api)["status"] == 200
    assert visitor.jar == ""
    gone = call(page, "refresh", ASKED | ABROAD, api)
    assert (gone["status"], gone["body"]["code"]) == (401, "refresh_invalid")
