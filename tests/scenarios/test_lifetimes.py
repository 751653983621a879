"""Lifetimes: none is ever longer than was promised, and none shorter."""

from __future__ import annotations

import pytest

from tests.scenarios.api import LocalApi, code_of
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import World, generation_of, key
from watchword.core.limits import (
    ACCESS_TTL,
    DAY,
    HOUR,
    MINUTE,
    REFRESH_ABSOLUTE,
    REFRESH_IDLE,
    SECOND,
)
from watchword.core.session import Policy
from watchword.errors import SessionExpired
from watchword.testing import ManualClock


@pytest.mark.parametrize("many", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_s40_refreshes_never_pass_the_absolute_expiry(
    world: World, clock: ManualClock, many: int
) -> None:
    """Nor does any access token; and the remainder that is told is the true one."""
    newest = await world.sign_in()
    end = newest.session.authenticated_at + REFRESH_ABSOLUTE
    pause = REFRESH_ABSOLUTE // many
    for number in range(many - 1):
        clock.advance(pause)
        newest = await world.refresh(newest, key(number))
        left = min(end - clock.now, REFRESH_IDLE)
        assert newest.refresh_expires_in == left // 1000
        assert newest.expires_in <= ACCESS_TTL // 1000
        expires = clock.now // 1000 + newest.expires_in
        assert expires <= end // 1000
        assert world.checker.verify(newest.access_token).exp == expires
    assert (await world.row(newest)).expires_at == end
    clock.now = end - 1
    last = await world.refresh(newest, key(many))
    assert world.checker.verify(last.access_token).exp == end // 1000
    assert (last.expires_in, last.refresh_expires_in) == (1, 1)
    clock.now = end
    assert await world.outcome(last, key(0)) == "session_expired"


async def test_s40_a_retry_tells_the_true_remainder_too(
    api: LocalApi, clock: ManualClock
) -> None:
    first = await api.login()
    assert first["refreshExpiresIn"] == 7 * 86_400
    r1 = (await api.refresh(first["refreshToken"], key())).json()
    assert r1["refreshExpiresIn"] == 7 * 86_400
    clock.advance(HOUR)
    again = (await api.refresh(first["refreshToken"], key())).json()
    assert again["refreshToken"] == r1["refreshToken"]
    assert again["refreshExpiresIn"] == 7 * 86_400 - 3_600
    assert again["expiresIn"] == 120


async def test_s40_near_its_end_a_sessions_access_tokens_get_shorter(
    world: World, clock: ManualClock
) -> None:
    newest = await world.sign_in()
    end = newest.session.expires_at
    for _ in range(5):
        clock.advance(REFRESH_IDLE - HOUR)
        if clock.now < end - HOUR:
            newest = await world.refresh(newest)
    clock.now = end - 30 * SECOND
    newest = await world.refresh(newest)
    assert (newest.expires_in, newest.refresh_expires_in) == (30, 30)
    clock.now = end
    assert world.accepts(newest) == "token_expired"


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (REFRESH_IDLE - 1, "ok"),
        (REFRESH_IDLE, "session_expired"),
        (REFRESH_IDLE + 1, "session_expired"),
        (REFRESH_IDLE + DAY, "session_expired"),
    ],
)
async def test_s41_the_idle_expiry_holds_at_use_to_the_moment(
    api: LocalApi, clock: ManualClock, after: int, outcome: str
) -> None:
    """No sweep ran: what decides is the row, at the moment of use."""
    first = await api.login()
    clock.advance(after)
    answer = await api.refresh(first["refreshToken"], key())
    assert code_of(answer) == outcome
    assert answer.status_code == (200 if outcome == "ok" else 401)


@pytest.mark.parametrize("way", ["rotation", "retry", "same"])
async def test_s41_in_the_rest_of_its_last_second_a_session_is_over(
    make_world: MakeWorld, clock: ManualClock, way: str
) -> None:
    """An access token expires at a whole second, so no answer could bring a good one.

    The moment before, the answer brings one that works, and says that it does.
    """
    clock.now += 400
    hold_off = MINUTE if way == "same" else 0
    world = await make_world(policy=Policy(refresh_absolute=HOUR, hold_off=hold_off))
    r0 = await world.sign_in()
    end = r0.session.expires_at - 400
    clock.now = end - 20 * SECOND
    r1 = await world.refresh(r0, key(0))
    shown, by = (r0, key(0)) if way == "retry" else (r1, key(1))
    clock.now = end - 1
    last = await world.refresh(shown, by)
    assert (last.expires_in, last.refresh_expires_in) == (1, 1)
    assert world.accepts(last) == "ok"
    if way == "rotation":
        shown, by = last, key(2)
    for clock.now in (end, end + 399, end + 400):
        assert await world.outcome(shown, by) == "session_expired"


async def test_s41_a_retry_in_the_rest_of_the_last_idle_second_is_too_late(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    """Its access token would be over; a rotation renews the lifetime, and is not."""
    clock.now += 400
    world = await make_world(policy=Policy(refresh_idle=HOUR))
    r0 = await world.sign_in()
    clock.advance(MINUTE)
    r1 = await world.refresh(r0, key(0))
    clock.now = r1.session.idle_expires_at - 401
    assert (await world.refresh(r0, key(0))).expires_in == 1
    clock.now = r1.session.idle_expires_at - 1
    assert await world.outcome(r0, key(0)) == "session_expired"
    r2 = await world.refresh(r1, key(1))
    assert (r2.expires_in, r2.refresh_expires_in) == (120, 3600)
    assert world.accepts(r2) == "ok"


async def test_s41_a_rotation_renews_the_idle_lifetime_and_a_retry_does_not(
    world: World, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    clock.advance(REFRESH_IDLE - 1)
    r1 = await world.refresh(r0, key())
    clock.advance(DAY - 1)
    again = await world.refresh(r0, key())
    assert again.refresh_expires_in < r1.refresh_expires_in
    clock.advance(REFRESH_IDLE - DAY)
    assert generation_of(world, await world.outcome(r1, key(1))) == 2


async def test_s42_a_shorter_policy_takes_effect_at_the_next_refresh(
    world: World, make_world: MakeWorld, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    clock.advance(HOUR)
    shorter = await make_world(policy=Policy(refresh_idle=HOUR, access_ttl=MINUTE))
    assert await shorter.outcome(r0) == "session_expired"
    shorter = await make_world(policy=Policy(refresh_absolute=HOUR))
    assert await shorter.outcome(r0) == "session_expired"
    shorter = await make_world(policy=Policy(refresh_idle=HOUR + 1))
    assert (await shorter.refresh(r0)).refresh_expires_in == 3600


async def test_s42_a_longer_policy_never_revives_a_dead_session(
    world: World, make_world: MakeWorld, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    longer = await make_world(
        policy=Policy(refresh_idle=300 * DAY, refresh_absolute=300 * DAY)
    )
    clock.advance(REFRESH_IDLE)
    with pytest.raises(SessionExpired):
        await longer.refresh(r0)
    # A living one gets the longer idle time from its next rotation on, and never
    # passes the absolute end that it was signed in with.
    alive = await world.sign_in()
    clock.advance(DAY)
    assert (await longer.refresh(alive)).refresh_expires_in == 29 * 86_400


async def test_s43_signing_in_on_device_2_leaves_device_1_alive(api: LocalApi) -> None:
    one, two = await api.login(), await api.login()
    assert one["sessionId"] != two["sessionId"]
    assert code_of(await api.secure(one["accessToken"])) == "ok"
    for device in (one, two):
        assert code_of(await api.refresh(device["refreshToken"], key())) == "ok"
    await api.logout(two["refreshToken"])
    assert code_of(await api.secure(one["accessToken"])) == "ok"
