"""Signing in by cookie: what becomes of the session before, and who may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scenarios.api import (
    BASE,
    code_of,
    local_api,
    settings_for,
)
from tests.scenarios.browser import (
    BY_COOKIE,
    NAME,
    OURS,
    SITE,
    Browser,
    lives,
    spent_nothing,
)
from tests.verify.proving import Prover
from watchword.core.limits import HOUR
from watchword.testing import ManualClock

ISSUER = "https://auth.example"
APP = "https://app.example"


@pytest_asyncio.fixture
async def browser(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Browser]:
    settings = settings_for(tmp_path, "memory", cors_origins=(APP,))
    async with local_api(settings, clock) as api:
        yield Browser(api)


@pytest.mark.parametrize(
    ("changed", "headers", "ended"),
    [
        ({}, OURS, True),
        ({}, SITE, True),
        ({}, {"Origin": APP}, True),
        ({}, SITE | {"Authorization": "Bearer a.b.c"}, True),
        ({"password": "wrong"}, OURS, False),
        ({"transport": "body"}, OURS, False),
        ({}, OURS | {"Sec-Fetch-Site": "cross-site"}, False),
        (
            {},
            {"Sec-Fetch-Site": "same-site", "Origin": "https://x.auth.example"},
            False,
        ),
        ({}, {"Origin": "null"}, False),
        ({"clientId": "nobody"}, OURS, False),
    ],
)
async def test_a_sign_in_ends_the_session_that_the_browser_forgets_by_it(
    browser: Browser, changed: dict[str, str], headers: dict[str, str], *, ended: bool
) -> None:
    """ASVS 7.2.4; a page of another site ends nothing, nor does a wrong password."""
    old = await browser.sign_in()
    answer = await browser.send("login", BY_COOKIE | changed, headers=headers)
    assert ("set-cookie" in answer.headers) is ended
    code = code_of(await browser.api.secure(old["accessToken"]))
    assert code == ("token_revoked" if ended else "ok")
    if ended:
        browser.arrives(answer)
    await lives(browser)


@pytest.mark.parametrize("case", ["dead", "junk", "10 KB", "twice", "a body session's"])
async def test_a_stale_cookie_does_not_hinder_a_sign_in(
    browser: Browser, case: str
) -> None:
    await browser.sign_in()
    other = await browser.api.login()
    await browser.send("logout")
    line = {
        "dead": f"{NAME}={browser.jar}",
        "junk": f'{NAME}="x"',
        "10 KB": f"{NAME}={'x' * 10_240}",
        "twice": f"{NAME}=a; {NAME}={browser.jar}",
        "a body session's": f"{NAME}={other['refreshToken']}",
    }[case]
    browser.arrives(await browser.send("login", BY_COOKIE, cookie=line))
    await lives(browser)
    assert code_of(await browser.api.refresh(other["refreshToken"])) == "ok"


@pytest.mark.parametrize("stale", ["Bearer", "Bearer a.b.c", "DPoP", "DPoP a.b.c"])
async def test_a_stale_access_token_does_not_hinder_a_sign_in(
    browser: Browser, stale: str
) -> None:
    """Programs that put one on every request put it, or nothing, on this one too."""
    headers = {"Authorization": stale}
    browser.arrives(await browser.send("login", BY_COOKIE, headers=headers))
    await lives(browser)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""],
)
async def test_a_form_signs_nobody_in(browser: Browser, content_type: str) -> None:
    """Login CSRF: a foreign page can send no JSON without a preflight."""
    body = json.dumps(BY_COOKIE)
    headers = {"Content-Type": content_type, "Sec-Fetch-Site": "cross-site"}
    answer = await browser.api.client.post(
        f"{BASE}/login", content=body, headers=headers
    )
    assert code_of(answer) == "unsupported_media_type"
    spent_nothing(answer)


async def test_other_clients_get_no_cookie(browser: Browser) -> None:
    """There is one jar and one cookie in it: the first party's."""
    await browser.api.engine.clients.add("web", confidential=False)
    answer = await browser.send("login", BY_COOKIE | {"clientId": "web"})
    assert code_of(answer) == "invalid_request"
    spent_nothing(answer)


async def test_a_cookie_can_be_bound_to_a_key_beside(browser: Browser) -> None:
    """Then neither the cookie nor the key is enough alone."""
    prover, api = Prover(), browser.api

    def proof(call: str, by: Prover = prover) -> dict[str, str]:
        claims = {
            "jti": f"{call}-{api.clock.now}",
            "htm": "POST",
            "htu": f"{ISSUER}{BASE}/{call}",
            "iat": api.clock.now // 1000,
            "nonce": api.engine.proofs.nonces.current(),
        }
        return OURS | {"DPoP": by.proof(payload=claims)}

    answer = await browser.send("login", BY_COOKIE, headers=proof("login"))
    assert browser.arrives(answer).json()["tokenType"] == "DPoP"
    api.clock.advance(HOUR)
    for headers in (OURS, proof("refresh", Prover(number=1))):
        refused = await browser.send("refresh", headers=headers)
        assert (refused.status_code, code_of(refused)) == (400, "invalid_dpop_proof")
        spent_nothing(refused)
    answer = await browser.refresh(headers=proof("refresh"))
    assert (answer.json()["tokenType"], browser.generation()) == ("DPoP", 1)
    assert "ww_rt_" not in answer.text


@pytest.mark.parametrize(
    ("issuer", "origin"),
    [
        ("https://auth.example:443/base", "https://auth.example"),
        ("https://Auth.Example", "https://auth.example"),
        ("https://auth.example:8443", "https://auth.example:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
async def test_our_own_origin_is_known_as_browsers_write_it(
    tmp_path: Path, clock: ManualClock, issuer: str, origin: str
) -> None:
    """An older browser says no more than Origin."""
    settings = settings_for(tmp_path, "memory")
    settings = settings.model_copy(update={"issuer": issuer})
    async with local_api(settings, clock) as api:
        browser = Browser(api)
        browser.arrives(
            await browser.send("login", BY_COOKIE, headers={"Origin": origin})
        )
        headers = {"X-Requested-With": "app"} | {"Origin": origin}
        assert code_of(await browser.refresh(headers=headers)) == "ok"
