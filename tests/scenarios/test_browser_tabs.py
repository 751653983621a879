"""Tabs of one browser: one jar, answers in any order, and nobody is signed out.

 0 s    tab 1 sends R0 --> R1
 5 s    tab 2 sends R0 --> R1     the grace: its page slept
 9 s    tab 3 sends R0 --> R1
< 30 s  whoever sends R1 --> no new cookie: nothing late can be older than the jar
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import httpx2
import pytest

from tests.scenarios.api import LocalApi, code_of, local_api, settings_for
from tests.scenarios.browser import OURS, Browser, cookie_of
from tests.scenarios.world import ON_EVERY_STORE
from watchword.core.limits import BROWSER_GRACE, BROWSER_HOLD_OFF, MINUTE, SECOND
from watchword.ports.audit import EventType
from watchword.testing import ManualClock


@pytest.fixture
def browser(api: LocalApi) -> Browser:
    return Browser(api)


async def stays_signed_in(browser: Browser) -> None:
    browser.api.clock.advance(MINUTE)
    before = browser.generation()
    assert code_of(await browser.refresh()) == "ok"
    assert browser.generation() == before + 1
    events = await browser.api.engine.stores.audit.read(0, 1000)
    assert EventType.TOKEN_REUSE not in {event.type for _, event in events}


async def test_s11_three_tabs_at_0_5_and_9_seconds_get_one_successor(
    browser: Browser,
) -> None:
    """Each sent what the jar held before any answer had come."""
    await browser.sign_in()
    clock = browser.api.clock
    clock.advance(MINUTE)
    answers = []
    for pause in (0, 5, 4):
        clock.advance(pause * SECOND)
        answers.append(await browser.send("refresh"))
    assert len({cookie_of(answer)["token"] for answer in answers}) == 1
    for answer in answers:
        browser.arrives(answer)
    assert browser.generation() == 1
    await stays_signed_in(browser)


async def test_s11_three_tabs_in_the_same_instant(browser: Browser) -> None:
    await browser.sign_in()
    browser.api.clock.advance(MINUTE)
    requested = [browser.send("refresh") for _ in range(3)]
    answers = await asyncio.gather(*requested)
    assert len({cookie_of(answer)["token"] for answer in answers}) == 1
    browser.arrives(answers[0])
    await stays_signed_in(browser)


@pytest.mark.parametrize("last", ["the late answer", "the refresh"])
async def test_s11_a_retry_of_9_9_s_and_a_refresh_at_10_05_s_in_any_order(
    browser: Browser, last: str
) -> None:
    """The refresh sets no cookie, so the late answer cannot undo it."""
    await browser.sign_in()
    clock = browser.api.clock
    clock.advance(MINUTE)
    first = await browser.send("refresh")
    clock.advance(9_900)
    late = await browser.send("refresh")
    browser.arrives(first)
    clock.advance(150)
    refresh = await browser.send("refresh")
    assert "set-cookie" not in refresh.headers
    order = [refresh, late] if last == "the late answer" else [late, refresh]
    for answer in order:
        assert code_of(browser.arrives(answer)) == "ok"
    await stays_signed_in(browser)


async def test_s11_within_the_hold_off_no_cookie_is_set(browser: Browser) -> None:
    """30 s from each rotation, and from the sign-in; access tokens are fresh."""
    signed_in = await browser.sign_in()
    clock = browser.api.clock
    for generation in range(3):
        seen = {signed_in["accessToken"]}
        for _ in range(3):
            answer = await browser.send("refresh")
            assert "set-cookie" not in answer.headers
            seen.add(answer.json()["accessToken"])
            clock.advance(BROWSER_HOLD_OFF // 3 - 1)
        assert len(seen) == 4
        assert browser.generation() == generation
        clock.advance(3)
        assert "set-cookie" in (await browser.refresh()).headers


async def test_s11_a_longer_grace_holds_off_for_longer(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Or an answer as late as a minute would bring back a token that is spent."""
    settings = settings_for(tmp_path, "memory", rotation_grace=60)
    async with local_api(settings, clock) as api:
        browser = Browser(api)
        await browser.sign_in()
        clock.advance(2 * MINUTE)
        first = await browser.send("refresh")
        clock.advance(59_900)
        late = await browser.send("refresh")
        browser.arrives(first)
        clock.advance(150)
        await browser.refresh()
        browser.arrives(late)
        clock.advance(2 * MINUTE)
        assert code_of(await browser.refresh()) == "ok"


async def test_s11_beyond_the_grace_a_spent_cookie_is_a_copy(browser: Browser) -> None:
    """A thief's: no tab sends so late what the jar no longer holds."""
    await browser.sign_in()
    browser.api.clock.advance(MINUTE)
    copied = browser.jar
    await browser.refresh()
    browser.api.clock.advance(BROWSER_GRACE)
    thief = Browser(browser.api)
    thief.jar = copied
    assert code_of(await thief.refresh()) == "refresh_reused"
    assert code_of(await browser.refresh()) == "session_revoked"


async def test_s11_a_retry_key_changes_nothing_for_the_worse(browser: Browser) -> None:
    """A library that sends one does so in browsers too: constant ones included."""
    await browser.sign_in()
    headers = OURS | {"Idempotency-Key": "one-key-for-all-of-them"}
    for _ in range(3):
        assert code_of(await browser.refresh(headers=headers)) == "ok"
    browser.api.clock.advance(MINUTE)
    lost = await browser.send("refresh", headers=headers)
    browser.api.clock.advance(MINUTE)
    again = await browser.refresh(headers=headers)
    assert cookie_of(again) == cookie_of(lost) | {"age": cookie_of(again)["age"]}
    browser.api.clock.advance(MINUTE)
    refused = await browser.send("refresh", headers=headers)
    assert code_of(refused) == "retry_key_reused"
    await stays_signed_in(browser)


async def test_s11_tabs_at_random_are_never_signed_out(browser: Browser) -> None:
    """An hour of three tabs; answers take up to 9 s and overtake each other."""
    await browser.sign_in()
    clock, draw = browser.api.clock, random.Random(11)
    under_way: list[tuple[int, httpx2.Response]] = []
    for _ in range(400):
        clock.advance(draw.choice([100, 1000, 9000, 30_000]))
        under_way.sort(key=lambda one: one[0])
        while under_way and under_way[0][0] <= clock.now:
            browser.arrives(under_way.pop(0)[1])
        answer = await browser.send("refresh")
        assert code_of(answer) == "ok"
        under_way.append((clock.now + draw.randrange(9_000), answer))
    for _, answer in under_way:
        browser.arrives(answer)
    await stays_signed_in(browser)


async def test_s33_a_refresh_that_overtakes_the_logout_leaves_a_dead_cookie(
    browser: Browser,
) -> None:
    """Its late answer fills the emptied jar; the next refresh says: signed out."""
    await browser.sign_in()
    browser.api.clock.advance(MINUTE)
    late = await browser.send("refresh")
    browser.arrives(await browser.send("logout"))
    assert browser.jar == ""
    browser.arrives(late)
    assert code_of(await browser.refresh()) == "session_revoked"
    access = late.json()["accessToken"]
    assert code_of(await browser.api.secure(access)) == "token_revoked"
    await browser.sign_in()
    await stays_signed_in(browser)


@ON_EVERY_STORE
async def test_s33_a_refresh_in_the_instant_of_the_logout(browser: Browser) -> None:
    """Whichever comes first, nothing of the session works afterwards."""
    for turn in range(10):
        await browser.sign_in()
        browser.api.clock.advance(MINUTE)
        calls = ["refresh", "logout"] if turn % 2 else ["logout", "refresh"]
        answers = await asyncio.gather(*map(browser.send, calls))
        for answer in answers:
            browser.arrives(answer)
            access = answer.json().get("accessToken")
            if access is not None:
                assert code_of(await browser.api.secure(access)) == "token_revoked"
        if browser.jar:
            assert code_of(await browser.refresh()) == "session_revoked"


async def test_s43_signing_in_in_one_tab_signs_the_other_in_too(
    browser: Browser,
) -> None:
    """The other tab's next refresh is of the new session; the old one is over."""
    old = await browser.sign_in()
    new = await browser.sign_in()
    answer = await browser.refresh()
    assert answer.json()["sessionId"] == new["sessionId"] != old["sessionId"]
    assert code_of(await browser.api.secure(old["accessToken"])) == "token_revoked"
