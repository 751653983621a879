"""A user may have so many sessions: a sign-in ends the one refreshed longest ago.

two at most:  A signs in    B signs in    A refreshes    C signs in --> B ends
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.api import LocalApi, code_of, local_api, settings_for
from tests.scenarios.browser import Browser
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import BOB, ON_EVERY_STORE, VICTIM
from watchword import Credentials, Subject
from watchword.core.limits import MINUTE
from watchword.ports.audit import EventType
from watchword.testing import ManualClock


@ON_EVERY_STORE
async def test_the_session_refreshed_longest_ago_ends(make_world: MakeWorld) -> None:
    """Here at once, elsewhere with the next look at the feed; and it is recorded."""
    world, other = await make_world(sessions_max=2), await make_world()
    bystander = await world.sign_in(BOB)
    first = await world.sign_in()
    world.clock.advance(1000)
    second = await world.sign_in()
    world.clock.advance(1000)
    first = await world.refresh(first)
    world.clock.advance(1000)
    third = await world.sign_in()
    assert world.accepts(second) == "token_revoked"
    assert other.accepts(second) == "ok"
    await other.revocations.follow()
    assert other.accepts(second) == "token_revoked"
    assert await world.outcome(second) == "session_revoked"
    for kept in (first, third, bystander):
        assert world.accepts(kept) == other.accepts(kept) == "ok"
        assert await world.goes_on(kept)
    (event,) = await world.events(EventType.SESSION_REVOKED)
    assert (event.session_id, event.address) == (second.session.id, VICTIM)
    assert event.detail == {"reason": "too many sessions", "by": "system"}


async def test_an_expired_session_takes_no_place(make_world: MakeWorld) -> None:
    """Nor one that has ended."""
    world = await make_world(sessions_max=2)
    kept = await world.sign_in()
    await world.logout(await world.sign_in())
    world.clock.advance(world.policy.refresh_idle - MINUTE)
    kept = await world.refresh(kept)
    world.clock.advance(2 * MINUTE)
    await world.sign_in()
    assert (await world.row(kept)).revoked_at is None


async def test_users_of_an_app_have_the_same_limit(tmp_path: Path) -> None:
    def check(given: Credentials) -> Subject | None:
        return Subject(7) if given.username == "alice" else Subject(8)

    settings = settings_for(tmp_path, "sqlite", sessions_max=1)
    async with local_api(settings, ManualClock(), authenticate=check) as api:
        first, bystander = await api.login(), await api.login("bob")
        await api.login()
        assert code_of(await api.secure(first["accessToken"])) == "token_revoked"
        assert code_of(await api.secure(bystander["accessToken"])) == "ok"


@pytest.fixture
async def pair(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    """Two sessions at most."""
    async with local_api(
        settings_for(tmp_path, "memory", sessions_max=2), clock
    ) as api:
        yield api


async def test_a_browser_that_signs_in_again_costs_no_other_device(
    pair: LocalApi,
) -> None:
    """The session of its old cookie ends anyway, so it takes no place."""
    phone, browser = await pair.login(), Browser(pair)
    await browser.sign_in()
    pair.clock.advance(1000)
    await browser.sign_in()
    assert code_of(await pair.secure(phone["accessToken"])) == "ok"
