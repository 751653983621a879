"""A use of a sign-in from a new network is told, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.browser_sign_in.browser import HOME, Browser
from tests.scenarios.api import local_api as open_api
from tests.scenarios.api import settings_for
from watchword.core import limits
from watchword.core.limits import HOUR, MINUTE
from watchword.mail.message import MailPurpose, open_mail
from watchword.ports.audit import EventType, Trail
from watchword.testing import ManualClock

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


async def _nothing() -> None:
    """What a second step settles."""


@pytest.mark.parametrize("settle", [None, _nothing], ids=["one step", "two steps"])
async def test_a_network_that_the_user_signed_in_at_is_not_told_of(
    browser: Browser, settle: Any
) -> None:
    """Nor the one that the session began at, when the browser comes back."""
    await browser.sign_in()
    browser.api.clock.advance(HOUR)
    await browser.sign_in(at=AWAY, settle=settle)
    for at in (AWAY, HOME, AWAY):
        browser.api.clock.advance(HOUR)
        assert await browser.session(at=at)
    assert await browser.events(EventType.NEW_NETWORK) == []


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
    browser.api.clock.advance(limits.NEW_NETWORK_INTERVAL)
    for number in (0, 13, 14):
        assert await browser.session(at=f"198.51.100.{number}")
    events = await browser.events(EventType.NEW_NETWORK)
    assert events[limits.NEW_NETWORK_BURST :] == events[-1:]
    assert events[-1].address == "198.51.100.13"


async def test_an_account_with_many_sessions_is_told_of_no_more_networks(
    browser: Browser,
) -> None:
    """It could otherwise keep the mail of all others waiting."""
    for _ in range(limits.NEW_NETWORK_BURST + 2):
        browser.cookie = ""
        await browser.sign_in()
        assert await browser.session(at=AWAY)
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
