"""The sign-in of a browser at this server: its session, its cookie, its policy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.scenarios.api import BASE, PASSWORD, LocalApi, bearer, code_of, settings_for
from tests.scenarios.api import local_api as open_api
from watchword.core import limits
from watchword.core.actor import Actor, By, EndReason
from watchword.core.limits import HOUR, MINUTE, SECOND
from watchword.core.policies import PAGES
from watchword.core.session import Session, TokenSet
from watchword.errors import InvalidCredentials, StoreUnavailable
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, MailPurpose, open_mail
from watchword.ports.audit import EventType, Trail
from watchword.testing import ManualClock, SeededEntropy

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
        secrets = [
            one.get_secret_value().encode() for one in self.engine.settings.secret
        ]
        self.sealing = Sealing(secrets, SEALED_AS, SeededEntropy())

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
    mail = "smtps://mail.example"
    settings = settings_for(tmp_path, request.param, mail_url=mail)
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


# The policy.


@pytest.mark.parametrize("apps", ["1h", "400d"])
async def test_the_pages_have_lifetimes_of_their_own(tmp_path: Path, apps: str) -> None:
    """Whether those of apps are shorter or longer, in every place that asks."""
    given: dict[str, Any] = {"refresh_idle": apps, "refresh_absolute": apps}
    given |= {"sign_in_idle": "12h", "sign_in_absolute": "2d"}
    async with open_api(
        settings_for(tmp_path, "sqlite", **given), ManualClock()
    ) as api:
        browser, sessions = Browser(api), api.engine.sessions
        tokens = await browser.sign_in()
        assert tokens.refresh_expires_in == 12 * HOUR // SECOND
        listed = tokens.session
        for hours in (11, 22, 33, 44):
            api.clock.advance(11 * HOUR)
            assert await browser.session(), hours
            (listed,) = (await sessions.page(None)).sessions
            left = min(12, 48 - hours) * HOUR
            assert sessions.ends_at(listed) == api.clock.now + left
            assert sessions.is_current(listed, browser.cookie)
        api.clock.advance(4 * HOUR)
        assert await browser.session() is None
        assert (await sessions.page(None)).sessions == []
        assert not sessions.is_current(listed, browser.cookie)


async def test_a_shorter_policy_of_today_ends_sessions_of_the_pages_alone(
    tmp_path: Path,
) -> None:
    settings, clock = settings_for(tmp_path, "sqlite"), ManualClock()
    async with open_api(settings, clock) as api:
        browser = Browser(api)
        cookie = (await browser.sign_in()).refresh_token
        of_app = (await api.login())["refreshToken"]
    clock.advance(HOUR)
    shorter = settings.model_copy(update={"sign_in_idle": 3600})
    async with open_api(shorter, clock) as api:
        assert await Browser(api).session(cookie) is None
        (left,) = (await api.engine.sessions.page(None)).sessions
        assert left.client_id == "first-party"
        assert code_of(await api.refresh(of_app)) == "ok"


async def test_signing_in_again_gives_a_session_that_lasts(browser: Browser) -> None:
    """A row keeps its absolute end, so one that is near it is replaced."""
    first = await browser.sign_in()
    for _ in range(70):
        browser.api.clock.advance(11 * HOUR)
        if browser.api.clock.now > first.session.expires_at - 12 * HOUR:
            break
        assert await browser.session()
    second = await browser.sign_in()
    assert second.session.id != first.session.id
    assert second.refresh_expires_in == 12 * HOUR // SECOND
    old = await browser.engine.sessions.get(first.session.id)
    assert old is not None
    assert old.revoked_reason == EndReason.SIGNED_IN_AGAIN


async def test_a_use_is_written_every_five_minutes(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in()
    store = browser.engine.stores.sessions
    real, written = store.swap, []

    async def swap(changes: Any) -> Any:
        written.append(browser.api.clock.now)
        return await real(changes)

    monkeypatch.setattr(store, "swap", swap)
    begun = browser.api.clock.now
    for _ in range(12):
        browser.api.clock.advance(MINUTE)
        assert await browser.session()
    assert [at - begun for at in written] == [5 * MINUTE, 10 * MINUTE]


# The end.


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


# A new network.

AWAY, THERE = "198.51.100.7", "2001:db8::1"


async def _confirm_address(browser: Browser) -> None:
    accounts = browser.engine.stores.accounts
    before = await accounts.by_name("alice")
    assert before is not None
    after = msgspec.structs.replace(
        before,
        version=before.version + 1,
        email="Alice@example.org",
        email_key="alice@example.org",
        email_confirmed_at=1,
        locale="de",
    )
    assert await accounts.swap(before, after, Trail())


async def test_a_use_from_a_new_network_is_told_once(
    browser: Browser,
) -> None:
    """Also where the browser has two addresses, and uses them in turn."""
    await _confirm_address(browser)
    await browser.sign_in()
    for at in (HOME, AWAY, HOME, AWAY, THERE, "2001:db8::2", HOME, AWAY):
        assert await browser.session(at=at)
        browser.api.clock.advance(4 * MINUTE)
    events = await browser.events(EventType.NEW_NETWORK)
    assert [one.address for one in events] == [AWAY, THERE]
    assert {one.session_id for one in events} == {(await browser.row()).id}
    sealed = await browser.engine.stores.outbox.list(limit=9)
    mails = [open_mail(one.message, browser.sealing) for one in sealed]
    told = [(one.purpose, one.to, one.locale, one.network) for one in mails]
    assert told == [
        (MailPurpose.NEW_NETWORK, "Alice@example.org", "de", at) for at in (AWAY, THERE)
    ]


async def test_another_process_does_not_tell_of_a_network_again(tmp_path: Path) -> None:
    settings, clock = settings_for(tmp_path, "sqlite"), ManualClock()
    async with open_api(settings, clock) as one, open_api(settings, clock) as two:
        here, there = Browser(one), Browser(two)
        there.cookie = (await here.sign_in()).refresh_token
        for browser in (here, there, here, there):
            assert await browser.session(at=AWAY)
        assert len(await here.events(EventType.NEW_NETWORK)) == 1


async def test_a_cookie_from_everywhere_writes_a_bounded_number_of_events(
    browser: Browser,
) -> None:
    await browser.sign_in()
    for number in range(3 * limits.NEW_NETWORK_BURST):
        assert await browser.session(at=f"198.51.100.{number}")
    events = await browser.events(EventType.NEW_NETWORK)
    assert len(events) == limits.NEW_NETWORK_BURST


@pytest.mark.parametrize("why", ["no address", "no mail", "no network"])
async def test_where_no_mail_can_be_sent_none_is_written(
    tmp_path: Path, why: str
) -> None:
    given = {} if why == "no mail" else {"mail_url": "smtps://mail.example"}
    settings = settings_for(tmp_path, "memory", **given)
    async with open_api(settings, ManualClock()) as api:
        browser = Browser(api)
        if why != "no address":
            await _confirm_address(browser)
        await browser.sign_in()
        assert await browser.session(at="" if why == "no network" else AWAY)
        assert await api.engine.stores.outbox.list(limit=9) == []
        told = len(await browser.events(EventType.NEW_NETWORK))
        assert told == (why != "no network")
