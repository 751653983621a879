"""/ and /docs, from a real `watchword serve` and in a real Chromium."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from email.message import Message
from importlib import resources
from typing import Any, Literal
from urllib.error import HTTPError

import pyotp
import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.patience import PATIENCE
from tests.server.live import PASSWORD, PROGRAM, Live
from watchword.core.limits import ACCESS_TTL, SECOND, TOTP_STEP
from watchword.server.endpoints.operation.docs import FILES

expect.set_options(timeout=PATIENCE * 1000)

SIZE: ViewportSize = {"width": 1300, "height": 950}
LOCKED = "authorization button locked"
UNLOCKED = "authorization button unlocked"
GROUND: dict[Literal["light", "dark"], str] = {
    "light": "rgb(243, 245, 248)",
    "dark": "rgb(13, 19, 28)",
}
TITLE = {"dark": "rgb(210, 214, 215)", "light": "rgb(59, 65, 81)"}  # Swagger UI's own
STEPS = ("login", "secure", "refresh", "logout")
STATIC = resources.files("watchword.server") / "static"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LAUNCH_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("docs") / "data", clock=True) as server:
        yield server


@pytest.fixture(scope="module")
def origin(live: Live) -> str:
    return live.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=LAUNCH_ARGS
        )
        yield chromium
        chromium.close()


class DocsPage:
    """The page as a user sees it: operations, their answers, and the steps above."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.requested: list[str] = []
        self.retry_keys: list[str | None] = []
        self.faults: list[str] = []
        page.on("request", self._asked)
        page.on("pageerror", self._failed)
        page.on("console", self._heard)
        page.goto(f"{origin}/docs")
        page.locator(
            "#steps li a[href]"
        ).first.wait_for()  # before, a click does nothing

    def leave(self) -> None:
        """What happens in the page from now on is another visit's."""
        self.page.remove_listener("request", self._asked)
        self.page.remove_listener("pageerror", self._failed)
        self.page.remove_listener("console", self._heard)

    def _asked(self, request: Request) -> None:
        self.requested.append(request.url)

    def _failed(self, error: Error) -> None:
        self.faults.append(str(error))

    def _heard(self, message: ConsoleMessage) -> None:
        # Nor the browser's advice on the password field of Swagger UI's own form, nor
        # what it says of a logout that had it clear what the page stored.
        expected = (
            "the server responded with a status of 401",
            "[DOM] Input elements",
            "Clear-Site-Data header",
        )
        if not any(part in message.text for part in expected):
            self.faults.append(message.text)

    def operation(self, call: str) -> Locator:
        path = f'.opblock-summary-path[data-path$="/auth/{call}"]'
        return self.page.locator(".opblock").filter(has=self.page.locator(path))

    def padlock(self, call: str) -> Locator:
        return self.operation(call).locator(".authorization__btn")

    def go_to_step(self, number: int) -> None:
        self.page.locator("#steps ol a").nth(number - 1).click()

    def body(self, call: str) -> Locator:
        return self.operation(call).locator("textarea.body-param__text")

    def execute(self, call: str) -> Response:
        """Click Execute and wait for the answer, not yet for its display."""
        with self.page.expect_response(f"**/auth/{call}") as answer:
            self.operation(call).get_by_role("button", name="Execute").click()
        request = answer.value.request
        if call == "refresh":
            self.retry_keys.append(request.header_value("idempotency-key"))
        return answer.value

    def unfold(self, call: str) -> None:
        self.operation(call).locator(".opblock-summary").click()

    def complete(self, call: str, **more: str) -> Response:
        """Send the body that the page has prepared, and what only the user knows."""
        self.unfold(call)
        body = json.loads(self.body(call).input_value()) | more
        self.body(call).fill(json.dumps(body))
        return self.execute(call)

    def expect_answer(self, call: str, status: int, text: str) -> None:
        shown = self.operation(call).locator(".live-responses-table .response").first
        expect(shown.locator(".response-col_status")).to_contain_text(str(status))
        expect(shown).to_contain_text(text)

    def expect_done(self, *numbers: int) -> None:
        steps = self.page.locator("#steps li")
        for number in range(1, 7):
            classes = ["done"] if number in numbers else []
            expect(steps.nth(number - 1)).to_have_class(" ".join(classes))

    def sign_in(self, **more: str) -> None:
        self.send_password(**more)
        self.expect_answer("login", 200, "accessToken")

    def send_password(self, **more: str) -> None:
        self.go_to_step(1)
        body = {"username": "admin", "password": PASSWORD} | more
        self.body("login").fill(json.dumps(body))
        self.execute("login")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """The tab of all tests: it has compiled the megabyte of Swagger UI already."""
    context = browser.new_context(viewport=SIZE)
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def document(origin: str) -> Any:
    return json.loads(_get(f"{origin}/openapi.json")[2])


def part_of(document: Any, calls: set[str]) -> Any:
    """The document with these calls and the schemas that they refer to.

    Swagger UI resolves all of it, and draws all calls anew when one has changed:
    seconds for what no test looks at.
    """
    paths, known = document["paths"], document["components"]["schemas"]
    assert calls <= paths.keys()
    part = {"paths": {one: paths[one] for one in paths if one in calls}}
    schemas: dict[str, Any] = {}
    while new := _schemas_of({**part, **schemas}) - schemas.keys():
        schemas |= {name: known[name] for name in new}
    return (
        document | part | {"components": document["components"] | {"schemas": schemas}}
    )


def _schemas_of(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))


@pytest.fixture
def docs(
    request: pytest.FixtureRequest, page: Page, origin: str, document: Any
) -> Iterator[DocsPage]:
    """A visit: the page anew. The one before has kept nothing, or its test failed.

    The document has the six steps and the calls that the test names.
    """
    calls = {f"/api/auth/{call}" for call in (*STEPS, *getattr(request, "param", ()))}
    tried = part_of(document, calls)
    page.route("**/openapi.json", lambda route: route.fulfill(json=tried))
    yield from visit(page, origin)


@pytest.fixture
def whole_docs(page: Page, origin: str) -> Iterator[DocsPage]:
    """A visit of the page with the whole document."""
    yield from visit(page, origin)


def visit(page: Page, origin: str) -> Iterator[DocsPage]:
    docs = DocsPage(page, origin)
    yield docs
    docs.leave()
    page.unroute_all()
    foreign = [url for url in docs.requested if not url.startswith((origin, "data:"))]
    kept = page.evaluate("[localStorage.length, sessionStorage.length]")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(SIZE)
    page.goto("about:blank")
    assert foreign == []
    assert docs.faults == []
    assert (kept, cookies) == ([0, 0], [])


def padlocks(docs: DocsPage) -> set[str | None]:
    """What the padlocks of all calls say that are shown."""
    buttons = docs.page.locator(".authorization__btn")
    expect(buttons.first).to_be_visible()
    return {button.get_attribute("aria-label") for button in buttons.all()}


def test_the_whole_document_is_drawn_and_asks_for_no_token_yet(
    whole_docs: DocsPage,
) -> None:
    """No padlock is closed, not where a call could do without a token either."""
    assert padlocks(whole_docs) == {UNLOCKED}


def test_the_six_steps_are_clicked_through_without_copying_a_token(
    docs: DocsPage, live: Live
) -> None:
    """Open editors and closed ones get the tokens; logout takes the authorization.

    After the sign-in the padlock is closed, too, of a call that could do without.
    """
    assert padlocks(docs) == {UNLOCKED}
    docs.go_to_step(4)
    expect(docs.body("refresh")).to_have_value(re.compile("ww_rt_…"))
    docs.sign_in()
    expect(docs.body("refresh")).to_have_value(re.compile(r'"ww_rt_[\w-]{76}"'))
    first = docs.body("refresh").input_value()
    for call in ("secure", "logout"):
        expect(docs.padlock(call)).to_have_attribute("aria-label", LOCKED)

    docs.go_to_step(2)
    docs.execute("secure")
    docs.expect_answer("secure", 200, "API accessed using valid JWT token")
    docs.expect_done(1, 2)

    live.advance(ACCESS_TTL // SECOND)
    docs.execute("secure")
    docs.expect_answer("secure", 401, "token_expired")
    docs.expect_done(1, 2, 3)

    docs.execute("refresh")
    docs.expect_answer("refresh", 200, "refreshToken")
    expect(docs.body("refresh")).not_to_have_value(first)

    docs.execute("secure")
    docs.expect_answer("secure", 200, "API accessed using valid JWT token")
    docs.expect_done(1, 2, 3, 4, 5)

    newest = docs.body("refresh").input_value()
    docs.go_to_step(6)
    expect(docs.body("logout")).to_have_value(newest)
    docs.execute("logout")
    docs.expect_answer("logout", 200, "Logged out successfully")
    docs.expect_done(1, 2, 3, 4, 5, 6)
    assert padlocks(docs) == {UNLOCKED}

    docs.execute("secure")
    docs.expect_answer("secure", 401, "token_missing")
    docs.execute("refresh")
    docs.expect_answer("refresh", 401, "session_revoked")


@pytest.mark.parametrize("docs", [["step-up"]], indirect=True)
def test_tokens_of_every_call_are_carried_to_the_next(docs: DocsPage) -> None:
    """Else the refresh after a step-up would be with a spent token, and end it all.

    Each refresh has a fresh retry key, unless one is typed in: that is how a retry is
    tried out. All of it on a small screen, where an open operation fits.
    """
    docs.page.set_viewport_size({"width": 320, "height": 600})
    expect(docs.page.locator("#mail")).to_contain_text("watchword mail show --data")
    docs.sign_in()
    shown = ".try-out *, .responses-table td"
    for part in docs.operation("login").locator(shown).all():
        box = part.bounding_box()
        assert box is None or box["x"] + box["width"] <= 320
    docs.go_to_step(4)
    spent = json.loads(docs.body("refresh").input_value())["refreshToken"]
    body = {"refreshToken": spent, "method": "password", "password": PASSWORD}
    docs.unfold("step-up")
    docs.body("step-up").fill(json.dumps(body))
    docs.execute("step-up")
    docs.expect_answer("step-up", 200, "accessToken")
    expect(docs.body("refresh")).not_to_have_value(re.compile(spent))
    docs.execute("refresh")
    docs.expect_answer("refresh", 200, "refreshToken")
    docs.execute("refresh")
    drawn = docs.retry_keys[:]
    assert len(set(drawn)) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{36}", str(key)) for key in drawn)

    field = docs.operation("refresh").get_by_placeholder("Idempotency-Key")
    field.fill("typed-in-by-hand-0001")
    spent = docs.body("refresh").input_value()
    docs.execute("refresh")
    expect(docs.body("refresh")).not_to_have_value(spent)
    successor = docs.body("refresh").input_value()
    docs.body("refresh").fill(spent)
    docs.execute("refresh")
    docs.expect_answer("refresh", 200, "refreshToken")
    expect(docs.body("refresh")).to_have_value(successor)
    assert docs.retry_keys[2:] == ["typed-in-by-hand-0001"] * 2


@pytest.mark.parametrize(
    "docs",
    [["factors/totp", "factors/totp/confirm", "step-up", "login/continue"]],
    indirect=True,
)
def test_a_second_factor_is_asked_for_with_the_continuation(
    docs: DocsPage, live: Live
) -> None:
    """The bodies have what calls before gave; a code is all that is typed."""

    def code(secret: str) -> str:
        live.advance(TOTP_STEP // SECOND)
        return pyotp.TOTP(secret).at(int(time.time()) + live.off_by)

    def call(method: str, path: str, body: Any = None, access: str = "") -> Any:
        answer = live.call(method, f"/api/auth{path}", body, access=access or None)
        assert answer.status < 300, answer.raw
        return answer.json() if answer.body else None

    docs.sign_in()
    docs.unfold("factors/totp")
    secret = docs.execute("factors/totp").json()["secret"]
    expect(docs.page.locator("#hint")).to_contain_text("totp/confirm")
    docs.complete("factors/totp/confirm", code=code(secret))
    docs.expect_answer("factors/totp/confirm", 200, "recoveryCodes")
    docs.complete("step-up", code=code(secret))
    docs.expect_answer("step-up", 200, "accessToken")
    docs.send_password()
    docs.expect_answer("login", 401, "second_factor_required")
    expect(docs.page.locator("#hint")).to_contain_text("login/continue")
    signed_in = docs.complete("login/continue", code=code(secret)).json()
    docs.expect_answer("login/continue", 200, "accessToken")
    access = signed_in["accessToken"]
    docs.expect_done(1)
    (factor,) = call("GET", "/factors", access=access)["factors"]
    call("DELETE", f"/factors/{factor['id']}", access=access)


@pytest.mark.parametrize(
    "docs", [["login/enrol/totp", "login/enrol/totp/confirm"]], indirect=True
)
def test_a_first_factor_is_enrolled_with_the_continuation(
    docs: DocsPage, live: Live
) -> None:
    """Where one is demanded. The token of an operator is typed, and the code."""

    def run(*words: str) -> str:
        # A process of its own: Playwright's event loop runs in this thread.
        command = [str(PROGRAM), "user", *words, "--data", str(live.data)]
        done = subprocess.run(
            command, input=PASSWORD, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    run("add", "carol", "--password-stdin")
    run("require-factor", "carol")
    token = run("enrol-code", "carol")
    docs.send_password(username="carol")
    docs.expect_answer("login", 401, "second_factor_enrolment_required")
    expect(docs.page.locator("#hint")).to_contain_text("login/enrol/totp")
    secret = docs.complete("login/enrol/totp", token=token).json()["secret"]
    code = pyotp.TOTP(secret).at(int(time.time()) + live.off_by)
    docs.complete("login/enrol/totp/confirm", code=code)
    docs.expect_answer("login/enrol/totp/confirm", 200, "recoveryCodes")


def test_a_browser_session_is_tried_out_by_its_cookie(docs: DocsPage) -> None:
    """Refresh and logout leave the example in their editors at home."""
    docs.go_to_step(4)
    docs.sign_in()
    docs.sign_in(transport="cookie")
    docs.execute("refresh")
    docs.expect_answer("refresh", 200, "accessToken")
    docs.go_to_step(6)
    docs.execute("logout")
    docs.expect_answer("logout", 200, "Logged out successfully")
    assert docs.page.context.cookies() == []
    docs.execute("refresh")
    docs.expect_answer("refresh", 401, "refresh_invalid")


def test_a_token_put_in_by_hand_stays_in_memory_too(docs: DocsPage) -> None:
    """The Authorize box works as ever, and keeps nothing (see the fixture).

    The page follows the theme of the system, also when that changes while it is open.
    """
    for theme, ground in GROUND.items():
        docs.page.emulate_media(color_scheme=theme)
        expect(docs.page.locator("html")).to_have_css("background-color", ground)
        text = docs.page.locator(".swagger-ui .info .title")
        expect(text).to_have_css("color", TITLE[theme])
    docs.page.locator(".auth-wrapper .authorize").click()
    scheme = docs.page.locator(".modal-ux form", has_text="bearer (http, Bearer)")
    scheme.locator("input").fill("not.a.token")
    scheme.locator(".authorize").click()
    scheme.locator(".btn-done").click()
    docs.go_to_step(2)
    docs.execute("secure")
    docs.expect_answer("secure", 401, "token_invalid")


def _get(url: str, **headers: str) -> tuple[int, Message, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as r:
            return r.status, r.headers, r.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_the_page_may_load_nothing_but_its_own_files(origin: str) -> None:
    """The policy names every directive, and the page needs no exception from it."""
    status, headers, body = _get(f"{origin}/docs")
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; font-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    assert headers.get_all("content-security-policy") == [policy]
    page = body.decode()
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=", page)
    referred = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert referred <= {f"docs/{name}" for name in FILES} | {"openapi.json", "./"}


def tokens_of(name: str) -> dict[str, str]:
    """The custom properties of a stylesheet's `:root`."""
    (block,) = re.findall(
        r"^:root \{(.*?)^\}", (STATIC / name).read_text(), re.MULTILINE | re.DOTALL
    )
    return dict(re.findall(r"(--[\w-]+): ([^;]+);", block))


def test_the_colours_of_the_docs_are_those_of_the_stylesheet() -> None:
    """Stated again there, because Swagger UI cannot stand the whole stylesheet."""
    whole, stated = tokens_of("watchword.css"), tokens_of("watchword-docs.css")
    assert stated
    assert stated.items() <= whole.items()


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_has_its_type_and_is_asked_for_again_only_by_its_tag(
    origin: str, name: str
) -> None:
    """An upgrade shows at once, and costs no transfer where nothing changed."""
    path, media_type = FILES[name]
    status, headers, body = _get(f"{origin}/docs/{name}")
    assert (status, body) == (200, (STATIC / path).read_bytes())
    assert headers["content-type"] == media_type
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    for tag in (headers["etag"], f'"other", W/{headers["etag"]}'):
        status, again, body = _get(f"{origin}/docs/{name}", **{"If-None-Match": tag})
        assert (status, again["etag"], body) == (304, headers["etag"], b"")
    assert _get(f"{origin}/docs/{name}", **{"If-None-Match": '"other"'})[0] == 200


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "swagger-ui.css.map",
        "swagger-ui/LICENSE",
        "swagger-ui%2FLICENSE",
        "..%2Fendpoints%2Fdocs.py",
        "%2Fetc%2Fpasswd",
        "watchword-docs.js%00",
    ],
)
def test_no_other_file_is_served(origin: str, name: str) -> None:
    """Names come from a table; what is not in it is not looked for."""
    status, _, body = _get(f"{origin}/docs/{name}")
    assert status == 404
    assert b'"code":"not_found"' in body


def test_the_vendored_files_are_those_of_the_pinned_release() -> None:
    """Byte for byte, and nothing beside them."""
    folder = STATIC / "swagger-ui"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    expected = {name: digest for digest, name in map(str.split, lines)}
    found = {file.name for file in folder.iterdir()}
    assert found == expected.keys() | {"SHA256SUMS", "VENDORED.md"}
    for name, digest in expected.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


# The page at /


HOME_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def test_the_home_page_has_no_script_and_every_link_of_it_works(origin: str) -> None:
    status, headers, body = _get(f"{origin}/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers.get_all("content-security-policy") == [HOME_POLICY]
    page = body.decode()
    assert not re.search(r"<script|<style|\s(?:on\w+|style)=", page)
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"docs", "openapi.json"} <= set(links)
    for link in links:
        assert not re.match(r"\w+:|/", link)  # also below a path prefix of a proxy
        assert _get(f"{origin}/{link}")[0] == 200
    assert _get(f"{origin}/", **{"If-None-Match": headers["etag"]})[0] == 304


def test_the_home_page_fits_a_small_screen_in_either_theme(
    browser: Browser, origin: str
) -> None:
    """The same page without JavaScript, for it has none."""
    context = browser.new_context(
        viewport={"width": 320, "height": 600}, java_script_enabled=False
    )
    page = context.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{origin}/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for theme, ground in GROUND.items():
        page.emulate_media(color_scheme=theme)
        expect(page.locator("body")).to_have_css("background-color", ground)
        for part in page.locator("main *").all():
            box = part.bounding_box()
            assert box is None or box["x"] + box["width"] <= 320
    context.close()
    assert all(url.startswith(origin) for url in requested)
