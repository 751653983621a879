"""The cookie of a sign-in is good for the pages alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser_sign_in.browser import USER, Browser
from tests.scenarios.api import PASSWORD, code_of, settings_for
from tests.scenarios.api import local_api as open_api
from watchword.core.policies import PAGES
from watchword.core.session import Session
from watchword.errors import (
    InvalidRequest,
    RefreshInvalid,
)
from watchword.testing import ManualClock


async def test_no_access_token_is_made_for_the_pages(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that stays here: nothing is signed."""
    signed: list[Any] = []
    active = browser.engine.keys.active
    monkeypatch.setattr(type(active), "sign", lambda *given: signed.append(given))
    for _ in ("first", "again"):
        tokens = await browser.sign_in()
        assert (tokens.access_token, tokens.expires_in) == ("", 0)
    assert signed == []


async def test_the_claims_hook_of_an_app_is_not_asked(tmp_path: Path) -> None:
    asked: list[Session] = []

    async def claims(session: Session) -> dict[str, Any]:
        asked.append(session)
        return {}

    settings = settings_for(tmp_path, "memory")
    async with open_api(settings, ManualClock(), claims_hook=claims) as api:
        await Browser(api).sign_in()
        assert asked == []


REFUSALS = {
    "login": ("/api/auth/login", {"clientId": PAGES}, "invalid_client"),
    "refresh": ("/api/auth/refresh", {"clientId": PAGES}, "invalid_client"),
    "refresh as another": ("/api/auth/refresh", {}, "refresh_invalid"),
    "logout": ("/api/auth/logout", {"clientId": PAGES}, "invalid_client"),
    "token": ("/oauth/token", {"client_id": PAGES}, "invalid_client"),
    "token as another": ("/oauth/token", {}, "invalid_grant"),
    "revoke": ("/oauth/revoke", {"client_id": PAGES}, "invalid_client"),
    "revoke as another": ("/oauth/revoke", {}, "invalid_grant"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_the_cookie_is_refused_everywhere_else(
    browser: Browser, name: str
) -> None:
    """In the name of its own client, which cannot authenticate, and of any other."""
    path, more, code = REFUSALS[name]
    await browser.sign_in()
    client = browser.api.client
    if path.startswith("/oauth"):
        form = {"grant_type": "refresh_token", "client_id": "first-party", **more}
        form |= {"refresh_token": browser.cookie, "token": browser.cookie}
        answer = await client.post(path, data=form)
        assert answer.json()["error"] == code
    else:
        body = {"refreshToken": browser.cookie, **more}
        if name == "login":
            body = {"username": "alice", "password": PASSWORD, **more}
        answer = await client.post(path, json=body)
        assert code_of(answer) == code
    assert await browser.session()


async def test_the_engine_refuses_to_refresh_the_cookie(browser: Browser) -> None:
    await browser.sign_in()
    with pytest.raises(RefreshInvalid):
        await browser.engine.sessions.refresh(
            browser.cookie, client_id=PAGES, cookie=True
        )
    assert await browser.session()


async def test_introspection_says_that_the_cookie_is_not_active(
    browser: Browser,
) -> None:
    await browser.sign_in()
    _, secret = await browser.engine.clients.add(
        "orders", confidential=True, rights=["introspect"]
    )
    form = {"token": browser.cookie, "client_id": "orders", "client_secret": secret}
    answer = await browser.api.client.post("/oauth/introspect", data=form)
    assert answer.json() == {"active": False}


@pytest.mark.parametrize("client_id", ["_pages", "_other", "_"])
async def test_no_client_has_an_id_that_begins_with_an_underscore(
    browser: Browser, client_id: str
) -> None:
    with pytest.raises(InvalidRequest):
        await browser.engine.clients.add(client_id, confidential=True)


async def test_the_client_of_the_pages_cannot_be_changed(browser: Browser) -> None:
    with pytest.raises(InvalidRequest):
        await browser.engine.clients.disable(PAGES)
    assert await browser.sign_in()


async def test_a_token_of_an_app_is_no_cookie_of_the_pages(browser: Browser) -> None:
    token = (await browser.api.login())["refreshToken"]
    assert await browser.session(token) is None
    await browser.pages.end(token, by=USER)
    assert code_of(await browser.api.refresh(token)) == "ok"
