"""Theft: of two that hold one token, the second to come ends the session."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.scenarios.api import LocalApi, Server, code_of
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import (
    BOB,
    ON_EVERY_STORE,
    THIEF,
    VICTIM,
    Faulty,
    World,
    generation_of,
    key,
    settle,
)
from watchword.core.limits import DAY, HOUR, MINUTE, REFRESH_ABSOLUTE, SECOND
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import Policy, as_text
from watchword.errors import RefreshReused, WatchwordError
from watchword.ports.audit import EventType
from watchword.testing import ManualClock

GRACE = Policy(grace=10 * SECOND)
REUSE = EventType.TOKEN_REUSE


@ON_EVERY_STORE
async def test_s17_thief_first_then_victim(world: World, make_world: MakeWorld) -> None:
    """The thief redeems R0; the victim comes with R0 afterwards.

    thief   R0 ──> R1, A1
    victim  R0 ──> refresh_reused; R1 and A1 are dead
    """
    other_worker = await make_world()
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key(1), address=THIEF)
    assert await world.outcome(r0, key(2)) == "refresh_reused"
    assert await world.outcome(r1, key(3), address=THIEF) == "session_revoked"
    assert world.accepts(r0) == world.accepts(r1) == "token_revoked"
    await other_worker.revocations.follow()
    assert other_worker.accepts(r1) == "token_revoked"
    (event,) = await world.events(REUSE)
    assert event.session_id == r0.session.id
    assert event.account_id == r0.session.account_id
    assert event.client_id == r0.session.client_id
    assert event.address == VICTIM
    assert event.detail["rotated_from"] == THIEF
    said = repr(event)
    for tokens in (r0, r1):
        assert tokens.refresh_token not in said
        assert tokens.access_token not in said
    assert not any(key(number) in said for number in range(4))


async def test_s18_victim_first_then_thief(api: LocalApi) -> None:
    first = await api.login()
    second = (await api.refresh(first["refreshToken"], key(1))).json()
    thief = await api.refresh(first["refreshToken"], key(2))
    assert (thief.status_code, code_of(thief)) == (401, "refresh_reused")
    victim = await api.refresh(second["refreshToken"], key(3))
    assert code_of(victim) == "session_revoked"
    assert code_of(await api.secure(second["accessToken"])) == "token_revoked"


async def test_s19_lock_step_is_detected_at_the_victims_first_refresh(
    world: World,
) -> None:
    """The thief is one ahead, the victim one behind: no rhythm hides that."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key(1), address=THIEF)
    assert await world.outcome(r0, key(2)) == "refresh_reused"
    assert await world.outcome(r1, key(3), address=THIEF) == "session_revoked"


async def test_s19_on_one_network_it_is_detected_at_the_first_refresh_after_the_grace(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    """What a grace costs: behind one address, the thief is not told from the client."""
    world = await make_world(policy=GRACE)
    thief = await world.sign_in()
    victim = thief
    for _ in range(20):  # as long as the victim follows within the grace
        thief = await world.refresh(thief)
        clock.advance(9_999)
        victim = await world.refresh(victim)
        assert victim.refresh_token == thief.refresh_token
        clock.advance(60 * SECOND)
    thief = await world.refresh(thief)
    clock.advance(10 * SECOND)
    assert await world.outcome(victim) == "refresh_reused"
    assert await world.outcome(thief) == "session_revoked"


@pytest.mark.parametrize("first", [VICTIM, THIEF])
async def test_s19_a_thief_elsewhere_is_detected_within_the_grace(
    make_world: MakeWorld, first: str
) -> None:
    """Whichever of the two comes second, and be it at once."""
    world = await make_world(policy=GRACE)
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, address=first)
    second = THIEF if first == VICTIM else VICTIM
    assert await world.outcome(r0, address=second) == "refresh_reused"
    assert await world.outcome(r1, address=first) == "session_revoked"
    (event,) = await world.events(EventType.TOKEN_REUSE)
    assert (event.address, event.detail["rotated_from"]) == (second, first)


@pytest.mark.parametrize(
    ("cookie", "place"),
    [(False, VICTIM), (True, THIEF)],
    ids=["on the victim's network", "a cookie, anywhere"],
)
async def test_s20_a_thief_inside_the_grace_gets_no_branch_of_his_own(
    make_world: MakeWorld, clock: ManualClock, place: str, *, cookie: bool
) -> None:
    """He gets what the victim has; whoever is behind next is found out."""
    world = await make_world(policy=GRACE)
    r0 = await world.sign_in(cookie=cookie)
    clock.advance(60 * SECOND)
    r1 = await world.refresh(r0)
    clock.advance(9 * SECOND)
    stolen = await world.refresh(r0, address=place)
    assert stolen.refresh_token == r1.refresh_token
    clock.advance(60 * SECOND)
    r2 = await world.refresh(r1)
    clock.advance(11 * SECOND)
    assert await world.outcome(stolen, address=place) == "refresh_reused"
    assert await world.outcome(r2) == "session_revoked"


@pytest.mark.parametrize("back", [2, 3, 5])
async def test_s21_an_ancestor_inside_the_grace_of_the_latest_rotation(
    make_world: MakeWorld, back: int
) -> None:
    world = await make_world(policy=GRACE)
    chain = [await world.sign_in()]
    for number in range(5):
        chain.append(await world.refresh(chain[-1], key(number)))
    assert await world.outcome(chain[5 - back], key(4)) == "refresh_reused"
    assert await world.outcome(chain[5]) == "session_revoked"


@pytest.mark.parametrize("later", [25 * HOUR, 6 * DAY])
async def test_s22_an_ancestor_long_after_is_still_reuse(
    world: World, clock: ManualClock, later: int
) -> None:
    """The sweep forgets no spent token while its session lives."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    clock.advance(later)
    await world.sweep()
    assert await world.outcome(r0, key()) == "refresh_reused"
    assert await world.outcome(r1) == "session_revoked"


async def test_s22_after_the_absolute_end_an_ancestor_is_expired(
    world: World, clock: ManualClock
) -> None:
    first = newest = await world.sign_in()
    for _ in range(5):
        clock.advance(5 * DAY)
        newest = await world.refresh(newest)
    clock.now = first.session.authenticated_at + REFRESH_ABSOLUTE
    await world.sweep()
    for token in (first, newest):
        assert await world.outcome(token) == "session_expired"
    assert not await world.events(REUSE)


async def test_s23_a_replay_every_2_seconds_moves_neither_grace_nor_lifetime(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    world = await make_world(policy=GRACE)
    r0 = await world.sign_in()
    await world.refresh(r0)
    row = await world.row(r0)
    for _ in range(5):
        clock.advance(1_999)
        await world.refresh(r0)
        assert await world.row(r0) == row
    clock.advance(1_999)
    assert await world.outcome(r0) == "refresh_reused"


async def test_s23_with_its_key_a_replay_for_an_hour_moves_nothing(
    world: World, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    await world.refresh(r0, key())
    row = await world.row(r0)
    remaining = []
    for _ in range(1800):
        clock.advance(2 * SECOND)
        remaining.append((await world.refresh(r0, key())).refresh_expires_in)
    assert await world.row(r0) == row
    assert remaining[0] - remaining[-1] == 1799 * 2


@pytest.mark.parametrize("policy", [Policy(), GRACE], ids=["strict", "grace"])
async def test_s24_two_rotations_in_one_millisecond_and_a_clock_stepped_back(
    make_world: MakeWorld, clock: ManualClock, policy: Policy
) -> None:
    """Generations decide, not instants."""
    world = await make_world(policy=policy)
    r0 = await world.sign_in()
    r1 = await world.refresh(r0)
    r2 = await world.refresh(r1)
    clock.advance(-HOUR)
    assert await world.outcome(r0) == "refresh_reused"
    assert await world.outcome(r2) == "session_revoked"


async def test_s24_one_rotation_and_a_clock_stepped_back_opens_no_grace(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    world = await make_world(policy=GRACE)
    r0 = await world.sign_in()
    await world.refresh(r0)
    clock.advance(-HOUR)
    assert await world.outcome(r0) == "refresh_reused"


async def test_s25_a_restart_between_rotation_and_replay(tmp_path: Path) -> None:
    """Nothing that detects reuse lives in a process."""
    server = await Server(tmp_path / "data").start()
    try:
        async with server.api() as api:
            first = await api.login("admin")
            second = (await api.refresh(first["refreshToken"], key())).json()
        server.stop()
        await server.start()
        async with server.api() as api:
            replay = await api.refresh(first["refreshToken"])
            assert code_of(replay) == "refresh_reused"
            again = await api.refresh(second["refreshToken"], key(1))
            assert code_of(again) == "session_revoked"
            gone = await api.secure(second["accessToken"])
            assert code_of(gone) == "token_revoked"
        server.kill()
        await server.start()
        async with server.api() as api:
            gone = await api.secure(second["accessToken"])
            assert code_of(gone) == "token_revoked"
            again = await api.refresh(second["refreshToken"], key(1))
            assert code_of(again) == "session_revoked"
    finally:
        server.stop()


@ON_EVERY_STORE
async def test_s25_another_process_sees_the_replay(
    world: World, make_world: MakeWorld
) -> None:
    r0 = await world.sign_in()
    await world.refresh(r0, key())
    assert await (await make_world()).outcome(r0) == "refresh_reused"


@ON_EVERY_STORE
async def test_s26_the_revocation_is_committed_though_the_answer_is_an_error(
    world: World, make_world: MakeWorld
) -> None:
    r0 = await world.sign_in()
    await world.refresh(r0)
    with pytest.raises(RefreshReused):
        await world.refresh(r0)
    row = await (await make_world()).row(r0)
    assert (row.revoked_at, row.revoked_reason) == (world.clock.now, "reuse")


@ON_EVERY_STORE
async def test_s26_the_commits_answer_is_lost_and_the_revocation_counts(
    world: World, faulty: Faulty
) -> None:
    """Nobody says that it was written; the process must honour it all the same."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0)
    faulty.fail_after("swap")
    assert await world.outcome(r0) in ("refresh_reused", "session_revoked")
    await world.revocations.follow()
    assert world.accepts(r1) == "token_revoked"
    assert len(await world.events(REUSE)) == 1


@ON_EVERY_STORE
async def test_s27_the_winner_is_paused_after_its_swap_and_its_successor_is_dead(
    make_world: MakeWorld, faulty: Faulty
) -> None:
    winner, other = await make_world(), await make_world()
    r0 = await winner.sign_in()
    reached, go_on = faulty.stop_after("swap")
    paused = asyncio.create_task(winner.refresh(r0, key(1)))
    await reached.wait()
    assert await other.outcome(r0, key(2)) == "refresh_reused"
    go_on.set()
    successor = await paused
    assert await winner.outcome(successor, key(3)) == "session_revoked"
    assert other.accepts(successor) == "token_revoked"
    await winner.revocations.follow()
    assert winner.accepts(successor) == "token_revoked"


async def test_s28_reuse_in_one_session_leaves_the_accounts_others_alive(
    world: World,
) -> None:
    stolen, other = await world.sign_in(), await world.sign_in()
    foreign = await world.sign_in(BOB)
    await world.refresh(stolen)
    assert await world.outcome(stolen) == "refresh_reused"
    for alive in (other, foreign):
        assert world.accepts(alive) == "ok"
        assert generation_of(world, await world.outcome(alive)) == 1


async def test_s29_a_token_revoked_by_logout_is_not_reuse(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    world = await make_world(policy=GRACE)
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    assert await world.logout(r1) == 1
    clock.advance(SECOND)
    for token in (r0, r1):
        assert await world.outcome(token, key()) == "session_revoked"
        assert await world.outcome(token) == "session_revoked"
    assert not await world.events(REUSE)


async def test_s30_the_same_replay_1_000_times_is_one_event(
    world: World, faulty: Faulty
) -> None:
    r0 = await world.sign_in()
    await world.refresh(r0)
    assert await world.outcome(r0) == "refresh_reused"
    events = len(await world.events())
    writes = faulty.calls.count("swap")
    requested = [world.outcome(r0) for _ in range(1000)]
    assert set(await asyncio.gather(*requested)) == {"session_revoked"}
    assert len(await world.events()) == events
    assert faulty.calls.count("swap") == writes


async def test_s30_a_replayed_retry_is_one_event_and_limited_in_rate(
    world: World,
) -> None:
    r0 = await world.sign_in()
    await world.refresh(r0, key())
    requested = [world.outcome(r0, key()) for _ in range(1000)]
    outcomes = await asyncio.gather(*requested)
    assert 0 < outcomes.count("throttled") < 1000
    assert len(set(outcomes)) == 2
    await settle(world.stores)
    assert len(await world.events(EventType.TOKEN_RETRY)) == 1
    row = await world.row(r0)
    assert (row.generation, row.revoked_at) == (1, None)


async def test_s31_the_right_session_with_a_wrong_part_is_refused_and_nothing_else(
    world: World,
) -> None:
    """Wrong secret, MAC or client: nothing is revoked and nothing is spent."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    before = await world.row(r0)
    session_id, _, secret = world.tokens.read(r1.refresh_token)
    forger = RefreshTokens([b"not the server's key"])
    for generation in range(4):
        wrong_secret = world.tokens.mint(session_id, generation, b"x" * 20)
        wrong_mac = forger.mint(session_id, generation, secret)
        for forged in (wrong_secret, wrong_mac):
            assert await world.outcome(forged, key()) == "refresh_invalid"
        with pytest.raises(WatchwordError) as refused:
            await world.refresh(
                world.tokens.mint(session_id, generation, secret), client_id="other"
            )
        assert refused.value.code == "refresh_invalid"
    assert await world.row(r0) == before
    assert not await world.events(REUSE)
    assert generation_of(world, await world.outcome(r1, key(1))) == 2


async def test_s31_a_wrong_mac_costs_no_store_access(
    world: World, faulty: Faulty
) -> None:
    r0 = await world.sign_in()
    calls = len(faulty.calls)
    flipped = r0.refresh_token[:-1] + ("A" if r0.refresh_token[-1] != "A" else "B")
    assert await world.outcome(flipped) == "refresh_invalid"
    assert len(faulty.calls) == calls


async def test_s17_the_events_name_the_session_that_lists_show(api: LocalApi) -> None:
    first = await api.login()
    await api.refresh(first["refreshToken"])
    await api.refresh(first["refreshToken"])
    events = [event for _, event in await api.engine.stores.audit.read(0, 100)]
    (event,) = [event for event in events if event.type == REUSE]
    assert event.session_id is not None
    assert as_text(event.session_id) == first["sessionId"]


async def test_s19_random_thieves_are_always_found_out(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    """Whatever the rhythm: once both were answered after the copy, it is over.

    Strict sessions, 60 thefts; each party refreshes with keys of its own.
    """
    world = await make_world()
    draw = random.Random(19)
    for _ in range(60):
        victim = await world.sign_in()
        for _ in range(draw.randrange(3)):
            victim = await world.refresh(victim, key(draw.randrange(10**9)))
        held = {"victim": victim.refresh_token, "thief": victim.refresh_token}
        answered: set[str] = set()
        for _ in range(8):
            clock.advance(draw.randrange(MINUTE))
            who = draw.choice(["victim", "thief"])
            outcome = await world.outcome(held[who], key(draw.randrange(10**9)))
            if outcome.startswith("ww_rt_"):
                held[who] = outcome
                answered.add(who)
            assert len(answered) <= 1
