"""The lifetimes of a browser's sign-in, which are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser_sign_in.browser import Browser
from tests.scenarios.api import code_of, settings_for
from tests.scenarios.api import local_api as open_api
from watchword.core.actor import EndReason
from watchword.core.limits import HOUR, MINUTE, SECOND
from watchword.testing import ManualClock


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
