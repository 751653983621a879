"""Two listeners: what each serves, and what operators alone are shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest_asyncio
from starlette.requests import Request

from tests.rows import each
from tests.scenarios.api import PASSWORD
from tests.server.live import Live
from tests.server.visiting import Browser, Pages, pages_of
from watchword.config import Settings
from watchword.config.values import ListenAddress
from watchword.server.endpoints import ENDPOINTS
from watchword.server.https import HttpsOnly
from watchword.server.listeners import ByListener, may_read_metrics
from watchword.server.sign_in_cookie import ADMIN_COOKIE, SIGN_IN_COOKIE
from watchword.testing import ManualClock

ADMIN: Final = "https://127.0.0.1:9000"
PAGES: Final = {"sign-in", "second-step", "enrol", "prove", "signed-out", "pages"}
SHARED: Final = {"healthz", "readyz", "metrics", "console", "openapi.json"}
ROOT: Final = {"username": "root", "password": PASSWORD}


@pytest_asyncio.fixture
async def pages(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Pages]:
    listener = ListenAddress("127.0.0.1", 9000)
    async with pages_of(tmp_path, clock, admin_listen=listener) as opened:
        await opened.engine.accounts.register("root", PASSWORD, roles=["admin"])
        yield opened


async def signed_out(browser: Browser, url: str) -> bool:
    answer = await browser.get(url)
    assert answer.status_code in {200, 303}, answer.text
    return "sign-in" in answer.headers.get("location", "")


async def test_each_listener_serves_what_is_its_own(pages: Pages) -> None:
    """No other call reaches the engine by the listener of operators."""
    browser = pages.browser()
    for checks, one in each(ENDPOINTS):
        first, *more = one.path.strip("/").split("/")
        is_admin = (first, *more[:1]) == ("api", "admin")
        places = {"": not is_admin, ADMIN: is_admin or first in PAGES | SHARED}
        with checks:
            for place, is_served in places.items():
                # No endpoint takes this method, so the router alone answers.
                status = (await browser.http.put(place + one.path)).status_code
                assert status == (405 if is_served else 404), place
    for place in ("", ADMIN):
        assert (await browser.get(f"{place}/readyz")).status_code == 200
        document = (await browser.get(f"{place}/openapi.json")).json()
        kinds = {path.startswith("/api/admin/") for path in document["paths"]}
        assert kinds == {bool(place), False}


async def test_the_session_of_one_listener_is_none_at_the_other(pages: Pages) -> None:
    """A browser sends both cookies to both: they are of one host."""
    browser, overview = pages.browser(), f"{ADMIN}/console/overview"
    await browser.send("/sign-in", **ROOT)
    assert await signed_out(browser, overview)
    sent = await browser.send(f"{ADMIN}/sign-in", **ROOT)
    assert sent.headers["location"] == "console"
    jar = browser.http.cookies
    main, admin = jar[SIGN_IN_COOKIE], jar[ADMIN_COOKIE]
    assert not await signed_out(browser, overview)
    assert not await signed_out(browser, "/account")
    for url, name, value in (
        (overview, ADMIN_COOKIE, main),
        ("/account", SIGN_IN_COOKIE, admin),
        (overview, ADMIN_COOKIE, ""),
    ):
        other = pages.browser()
        other.http.cookies.set(name, value, domain="127.0.0.1")
        assert await signed_out(other, url)
    await browser.send(f"{ADMIN}/signed-out")
    assert ADMIN_COOKIE not in jar
    assert await signed_out(browser, overview)
    assert not await signed_out(browser, "/account")


async def test_the_pages_of_operators_lead_nowhere_else(pages: Pages) -> None:
    """Neither to what is not there, nor to a client that waits at the main one."""
    browser = pages.browser()
    shown = await browser.get(f"{ADMIN}/sign-in?interaction=ww_in_x")
    assert shown.status_code == 200
    assert not {"register", "forgot"} & set(shown.text.split('"'))
    await browser.send(f"{ADMIN}/sign-in", **ROOT)
    again = await browser.get(f"{ADMIN}/sign-in?as=another")
    assert 'href="console"' in again.text
    proved = await browser.get(f"{ADMIN}/prove")
    assert proved.headers["location"] == "console"


async def test_a_page_of_the_main_listener_sends_no_form_to_the_other(
    pages: Pages,
) -> None:
    """To a browser both are one site."""
    browser = pages.browser()
    await browser.get(f"{ADMIN}/sign-in")
    browser.http.headers.update(
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8000"}
    )
    assert (await browser.post(f"{ADMIN}/sign-in", **ROOT)).status_code == 403


LOCAL, INSIDE, OUTSIDE = "127.0.0.1", "10.9.0.1", "198.51.100.7"
PROXY = "10.1.0.1"
HOST, VIA = {"host": "127.0.0.1:8000"}, {"x-forwarded-proto": "https"}
BEHIND = {"behind_proxy": (ip_network("10.1.0.0/16"),), "host": "0.0.0.0"}
FROM = {"metrics_from": (ip_network("10.0.0.0/8"),)}
WIDE = {"admin_listen": ListenAddress("0.0.0.0", 9000)}
NEAR = {"admin_listen": ListenAddress("127.0.0.1", 9000)}


def named(client: str) -> dict[str, str]:
    return VIA | {"x-forwarded-for": client}


READERS: Final[list[tuple[bool, dict[str, Any], int, str, dict[str, str]]]] = [
    # By the main listener: a user of this machine.
    (True, {}, 8000, LOCAL, HOST),
    (False, {}, 8000, LOCAL, {"host": "rebound.example:8000"}),
    (False, {}, 8000, LOCAL, HOST | named(LOCAL)),
    (False, {}, 8000, LOCAL, HOST | {"x-real-ip": OUTSIDE}),
    (False, {}, 8000, INSIDE, HOST),
    (False, {"host": "0.0.0.0"}, 8000, LOCAL, HOST),
    # A network that was named: the peer itself, never one that passes on.
    (True, FROM, 8000, INSIDE, {"host": "10.9.0.2:8000"}),
    (True, FROM, 8000, f"::ffff:{INSIDE}", {}),
    (False, FROM, 8000, OUTSIDE, {}),
    (False, FROM, 8000, INSIDE, named(INSIDE)),
    (False, FROM, 8000, INSIDE, {"via": "1.1 proxy"}),
    # Behind a proxy: the client that it names, and the proxy's own address never.
    (True, FROM | BEHIND, 8000, INSIDE, {}),
    (True, FROM | BEHIND, 8000, PROXY, named(INSIDE)),
    (True, FROM | BEHIND, 8000, PROXY, named(f"{OUTSIDE}, {INSIDE}")),
    (False, FROM | BEHIND, 8000, PROXY, named(OUTSIDE)),
    (False, FROM | BEHIND, 8000, PROXY, named(f"{INSIDE}, {OUTSIDE}")),
    (False, FROM | BEHIND, 8000, PROXY, VIA),
    (False, FROM | BEHIND, 8000, PROXY, {}),
    (False, FROM | BEHIND, 8000, PROXY, named("unknown")),
    (False, FROM | BEHIND, 8000, INSIDE, named(INSIDE)),
    (False, BEHIND, 8000, LOCAL, HOST),
    # By the listener of operators: whatever reaches it.
    (True, WIDE | BEHIND, 9000, OUTSIDE, {"host": "login.example:9000"}),
    (False, WIDE | BEHIND, 8000, OUTSIDE, {"host": "login.example:9000"}),
    (True, NEAR | BEHIND, 9000, LOCAL, {"host": "localhost:9000"}),
    (False, NEAR | BEHIND, 9000, LOCAL, {"host": "rebound.example:9000"}),
    (False, NEAR | BEHIND, 9000, LOCAL, {"host": "localhost"} | named(OUTSIDE)),
]


async def test_metrics_are_read_by_this_machine_named_networks_and_operators() -> None:
    for checks, (may, given, port, peer, headers) in each(READERS):
        settings = Settings(**given)
        seen: list[bool] = []

        async def endpoint(scope: Any, _: Any, __: Any, seen: Any = seen) -> None:
            seen.append(may_read_metrics(Request(scope)))

        behind = HttpsOnly(endpoint, settings.behind_proxy, ())
        main = behind if settings.behind_proxy else endpoint
        application: Any = main
        if settings.admin_listen is not None:
            application = ByListener(main, endpoint, behind, settings.admin_listen)
        engine = SimpleNamespace(settings=settings)
        scope = {
            "type": "http",
            "path": "/metrics",
            "scheme": "http",
            "server": (LOCAL, port),
            "client": (peer, 1),
            "headers": [(name.encode(), headers[name].encode()) for name in headers],
            "state": {"watchword": engine, "bound_to": settings.host},
        }
        with checks:
            await application(scope, None, None)
            assert seen == [may]


def test_a_server_listens_on_both_and_says_so(tmp_path: Path) -> None:
    listen: Any = {"WATCHWORD_ADMIN_LISTEN": "[::1]:0"}
    with Live(tmp_path / "data", "--behind-proxy", "127.0.0.1", **listen) as live:
        (line,) = [at for at in live.printed().splitlines() if at[:6] == "Admin "]
        shown = line.removeprefix("Admin http://[::1]:").removesuffix("/console")
        main, live.port, live.host = live.port, int(shown), "::1"
        assert live.port != main
        # By loopback, with nothing between: in plain HTTP, although there is a proxy.
        assert live.call("GET", "/readyz").status == 200
        assert live.call("GET", "/console").status == 303
        insecure = live.call("GET", "/console", X_Forwarded_Proto="http")
        assert insecure.status == 403
