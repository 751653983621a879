"""What ends the sign-in of a browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser_sign_in.browser import BARE, HOME, USER, Browser
from tests.scenarios.api import BASE, PASSWORD, bearer, code_of
from tests.scenarios.browser import BY_COOKIE, OURS
from watchword.core.policies import PAGES
from watchword.errors import (
    InvalidCredentials,
    StoreUnavailable,
)
from watchword.server.sign_in_cookie import (
    SIGN_IN_COOKIE,
    drop_sign_in_cookie,
)


async def _logout(browser: Browser) -> None:
    await browser.pages.end(browser.cookie, by=USER)


async def _disable(browser: Browser) -> None:
    await browser.engine.accounts.disable(await browser.api.id_of("alice"))


async def _delete(browser: Browser) -> None:
    await browser.engine.accounts.delete(await browser.api.id_of("alice"))


async def _change_password(browser: Browser) -> None:
    account_id = await browser.api.id_of("alice")
    await browser.engine.accounts.set_password(account_id, "a new password 4711")


async def _end_in_the_list(browser: Browser) -> None:
    """Of the user's devices, by a session of the API."""
    client, session = browser.api.client, await browser.row()
    headers = bearer((await browser.api.login())["accessToken"])
    listed = (await client.get(f"{BASE}/sessions", headers=headers)).json()["sessions"]
    assert (PAGES, session.sid) in {(one["clientId"], one["id"]) for one in listed}
    ended = await client.delete(f"{BASE}/sessions/{session.sid}", headers=headers)
    assert ended.status_code == 204


async def _logout_all(browser: Browser) -> None:
    await browser.api.logout_all((await browser.api.login())["accessToken"])


@pytest.mark.parametrize(
    "end",
    [_logout, _disable, _delete, _change_password, _end_in_the_list, _logout_all],
)
async def test_a_session_that_was_ended_is_refused_at_the_next_page(
    browser: Browser, end: Any
) -> None:
    await browser.sign_in()
    assert await browser.session()
    await end(browser)
    assert await browser.session() is None


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
async def test_a_password_changed_during_a_sign_in_ends_its_session(
    browser: Browser, *, again: bool
) -> None:
    if again:
        await browser.sign_in()
    proof = await browser.engine.sign_in.check_password("alice", PASSWORD)
    account_id = await browser.api.id_of("alice")
    await browser.engine.accounts.set_password(account_id, "a new password 4711")
    with pytest.raises(InvalidCredentials):
        await browser.pages.begin(
            proof, cookie=browser.cookie, address=HOME, user_agent=""
        )
    assert (await browser.engine.sessions.page(None)).sessions == []


@pytest.mark.parametrize("after", [False, True], ids=["unwritten", "written"])
async def test_a_sign_in_again_whose_write_gave_no_answer_ends_the_session(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """The browser may have missed its new cookie."""
    await browser.sign_in()
    store = browser.engine.stores.sessions
    real = store.swap

    async def swap(changes: Any) -> Any:
        if after:
            await real(changes)
        raise StoreUnavailable

    monkeypatch.setattr(store, "swap", swap)
    with pytest.raises(StoreUnavailable):
        await browser.sign_in()
    monkeypatch.undo()
    assert (await browser.engine.sessions.page(None)).sessions == []


@pytest.mark.parametrize("mine", [True, False], ids=["a cookie", "no cookie"])
async def test_a_logout_that_empties_the_browser_ends_the_sign_in_that_it_wipes(
    browser: Browser, *, mine: bool
) -> None:
    """Clear-Site-Data deletes the cookie of the pages, so nothing may live on."""
    await browser.sign_in()
    client = browser.api.client
    login = await client.post(f"{BASE}/login", json=BY_COOKIE, headers=OURS)
    jar = login.headers["set-cookie"].partition(";")[0]
    if mine:
        jar += f"; {SIGN_IN_COOKIE}={browser.cookie}"
    client.cookies.clear()
    answer = await client.post(f"{BASE}/logout", headers=OURS | {"Cookie": jar})
    assert "clear-site-data" in answer.headers
    dropped = drop_sign_in_cookie(BARE) in answer.headers.get_list("set-cookie")
    alive = await browser.session() is not None
    assert (dropped, alive) == (mine, not mine)


async def test_a_logout_by_access_token_leaves_the_sign_in(browser: Browser) -> None:
    """Nothing is wiped there."""
    await browser.sign_in()
    access = (await browser.api.login())["accessToken"]
    headers = bearer(access) | {"Cookie": f"{SIGN_IN_COOKIE}={browser.cookie}"}
    answer = await browser.api.client.post(f"{BASE}/logout", headers=headers)
    assert code_of(answer) == "ok"
    assert await browser.session()
