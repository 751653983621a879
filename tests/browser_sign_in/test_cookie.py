"""The cookie of a browser's sign-in: when it works, and when it is replaced."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from tests.browser_sign_in.browser import BARE, HOME, Browser
from tests.scenarios.api import PASSWORD
from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.limits import DAY, HOUR, SECOND
from watchword.core.session import Session
from watchword.errors import (
    InvalidRequest,
)
from watchword.ports.audit import EventType
from watchword.server.sign_in_cookie import (
    SIGN_IN_COOKIE,
    drop_sign_in_cookie,
    set_sign_in_cookie,
    sign_in_cookie,
)


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


async def test_a_proof_that_is_no_later_rotates_the_cookie(
    browser: Browser,
) -> None:
    """As where a password is changed in a session with two factors: no tab is lost.

    The session then has the proof that it had.
    """
    proof = await browser.engine.sign_in.check_password("alice", PASSWORD)
    both = msgspec.structs.replace(proof, acr="aal2", amr=("pwd", "otp", "mfa"))
    begun = await browser.pages.begin(
        both, cookie="", address=HOME, user_agent="Firefox"
    )
    browser.api.clock.advance(HOUR)
    old = browser.cookie = begun.refresh_token
    tokens = await browser.pages.begin(
        both, cookie=old, address=HOME, user_agent="Firefox"
    )
    browser.cookie = tokens.refresh_token
    assert browser.cookie != old
    row = await browser.row()
    assert (row.acr, row.auth_time) == ("aal2", begun.session.auth_time)
    browser.api.clock.advance(limits.BROWSER_GRACE - 1)
    assert await browser.session(old)
    browser.api.clock.advance(1)
    assert await browser.session()
    assert await browser.session(old) is None
    assert await browser.session() is None


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


async def test_the_cookie_is_for_this_host_and_lasts_as_the_session_may(
    browser: Browser,
) -> None:
    """No script reads it; a link from another site brings it along."""
    tokens = await browser.sign_in()
    attributes = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age"
    made = set_sign_in_cookie(BARE, tokens)
    age = 30 * DAY // SECOND
    assert made == f"{SIGN_IN_COOKIE}={browser.cookie}; {attributes}={age}"
    assert drop_sign_in_cookie(BARE) == f"{SIGN_IN_COOKIE}=; {attributes}=0"
    browser.api.clock.advance(HOUR)
    again = set_sign_in_cookie(BARE, await browser.sign_in())
    assert again.endswith(f"={age - 3600}")


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"__Host-watchword=a; __Host-watchword-sign-in=b", "b"),
        (b"__Host-watchword=a", ""),
        (b"__Host-watchword-sign-in=a; __Host-watchword-sign-in=b", None),
    ],
    ids=["one", "none", "two"],
)
def test_one_cookie_is_read(sent: bytes, found: str | None) -> None:
    """Of two another site has set one."""
    request = Request({"type": "http", "headers": [(b"cookie", sent)]})
    if found is None:
        with pytest.raises(InvalidRequest):
            sign_in_cookie(request)
    else:
        assert sign_in_cookie(request) == found
