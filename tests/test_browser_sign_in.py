"""The sign-in of a browser at this server: its session, its cookie, its policy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.scenarios.api import PASSWORD, LocalApi, settings_for
from tests.scenarios.api import local_api as open_api
from watchword.core import limits
from watchword.core.actor import Actor, By, EndReason
from watchword.core.limits import HOUR, SECOND
from watchword.core.policies import PAGES
from watchword.core.session import Session, TokenSet
from watchword.ports.audit import EventType
from watchword.testing import ManualClock

HOME = "192.0.2.1"
USER = By(Actor.USER, HOME)


class Browser:
    """A browser with its one cookie, at an engine of this process."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.engine = api.engine
        assert api.engine.self_service is not None
        self.pages = api.engine.self_service.browser
        self.cookie = ""

    async def sign_in(
        self, name: str = "alice", *, cookie: str | None = None
    ) -> TokenSet:
        """Sign in, with the cookie that the browser has, and keep the new one."""
        proof = await self.engine.sign_in.check_password(name, PASSWORD)
        held = self.cookie if cookie is None else cookie
        tokens = await self.pages.begin(
            proof, cookie=held, address=HOME, user_agent="Firefox"
        )
        self.cookie = tokens.refresh_token
        return tokens

    async def session(
        self, cookie: str | None = None, at: str = HOME
    ) -> Session | None:
        """The session that a page finds."""
        held = self.cookie if cookie is None else cookie
        return await self.pages.session_of(held, address=at, user_agent="Firefox")

    async def row(self) -> Session:
        (row,) = [
            one
            for one in (await self.engine.sessions.page(None)).sessions
            if one.client_id == PAGES
        ]
        return row

    async def events(self, kind: EventType) -> list[Any]:
        return [
            event
            for _, event in await self.engine.stores.audit.read(0, 999)
            if event.type is kind
        ]


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def browser(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Browser]:
    settings = settings_for(tmp_path, request.param)
    async with open_api(settings, ManualClock()) as api:
        yield Browser(api)


# The cookie.


async def test_a_use_does_not_rotate_the_cookie(browser: Browser) -> None:
    """Pages are loaded side by side, and hours apart."""
    tokens = await browser.sign_in()
    for pause in (0, SECOND, HOUR):
        browser.api.clock.advance(pause)
        found = await asyncio.gather(*(browser.session() for _ in range(5)))
        assert {one and one.id for one in found} == {tokens.session.id}


async def test_signing_in_again_rotates_the_session_in_its_row(
    browser: Browser,
) -> None:
    first = await browser.sign_in()
    browser.api.clock.advance(HOUR)
    again = await browser.sign_in()
    assert again.session.id == first.session.id
    assert again.refresh_token != first.refresh_token
    row = await browser.row()
    assert row.auth_time == row.authenticated_at + HOUR == browser.api.clock.now
    assert await browser.session()


async def test_a_cookie_replaced_a_while_ago_ends_the_session(browser: Browser) -> None:
    """A thief has a copy from before; requests on their way are no thieves."""
    old = (await browser.sign_in()).refresh_token
    browser.api.clock.advance(HOUR)
    await browser.sign_in()
    browser.api.clock.advance(limits.BROWSER_GRACE - 1)
    assert await browser.session(old)
    browser.api.clock.advance(1)
    assert await browser.session(old) is None
    assert await browser.session() is None
    (event,) = await browser.events(EventType.TOKEN_REUSE)
    assert event.detail["reason"] == EndReason.REUSE


async def test_signing_in_as_another_account_ends_the_session(browser: Browser) -> None:
    await browser.engine.accounts.register("bob", PASSWORD)
    first = await browser.sign_in()
    second = await browser.sign_in("bob")
    row = await browser.engine.sessions.get(first.session.id)
    assert row is not None
    assert row.revoked_reason == EndReason.SIGNED_IN_AGAIN
    found = await browser.session()
    assert found is not None
    assert found.id == second.session.id


async def test_tabs_that_sign_in_at_once_share_one_session(browser: Browser) -> None:
    """Whichever answer comes last, the browser has a cookie that works."""
    await browser.sign_in()
    held = browser.cookie
    browser.api.clock.advance(HOUR)
    tabs = await asyncio.gather(*(browser.sign_in(cookie=held) for _ in range(8)))
    assert {one.session.id for one in tabs} == {(await browser.row()).id}
    browser.api.clock.advance(HOUR)
    for one in tabs:
        assert await browser.session(one.refresh_token)


async def test_writes_that_the_store_lost_do_not_sign_a_browser_out(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the row may lack the latest sign-ins; more cannot be missing."""
    store = browser.engine.stores.sessions
    row = (await browser.sign_in()).session
    cookies = [(await browser.sign_in()).refresh_token for _ in range(5)]
    real = store.load

    async def earlier(ids: Any) -> Any:
        (found,) = await real(ids)
        lost = {"generation": row.generation, "auth_time": row.auth_time}
        return [None if found is None else _replaced(found, **lost)]

    monkeypatch.setattr(store, "load", earlier)
    caught_up = await browser.session(cookies[limits.REWIND_LIMIT - 1])
    monkeypatch.undo()
    assert caught_up is not None
    assert (await browser.row()).generation == limits.REWIND_LIMIT
    assert len(await browser.events(EventType.TOKEN_REWOUND)) == 1
    assert await browser.session(cookies[limits.REWIND_LIMIT - 1])
    assert await browser.session(cookies[4])
    monkeypatch.setattr(store, "load", earlier)
    assert await browser.session(cookies[limits.REWIND_LIMIT]) is None


def _replaced(session: Session, **fields: Any) -> Session:
    return msgspec.structs.replace(session, **fields)
