"""Who says that a session has ended, and whom that keeps waiting."""

from __future__ import annotations

import asyncio

import pytest

from tests.patience import auntil
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import ON_EVERY_STORE, THIEF, Faulty, World, key
from watchword.batching import SHARE_MIN
from watchword.core.actor import EndReason
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType


@ON_EVERY_STORE
@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("lost", ["answer", "caller", "other process"])
async def test_s34_it_is_known_when_it_is_told(
    world: World, faulty: Faulty, make_world: MakeWorld, lost: str, *, everywhere: bool
) -> None:
    """Nobody here heard that it ended; asked again, this process refuses at once."""

    async def end(world: World) -> None:
        if everywhere:
            await world.sessions.end_all(r0.session.account_id, EndReason.LOGOUT)
        else:
            await world.logout(r0)

    r0 = await world.sign_in()
    if lost == "answer":
        faulty.fail_after("end")
        with pytest.raises(StoreUnavailable):
            await end(world)
    elif lost == "caller":
        committed, go_on = faulty.stop_after("end")
        ending = asyncio.create_task(end(world))
        await committed.wait()
        ending.cancel()
        go_on.set()
    else:
        await end(await make_world())
    assert world.accepts(r0) == "ok"  # it may take a second to get here
    await end(world)
    assert world.accepts(r0) == "token_revoked"


@ON_EVERY_STORE
async def test_s17_after_an_unknown_outcome_a_reuse_is_known_when_it_is_told(
    world: World, faulty: Faulty
) -> None:
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    faulty.fail_after("swap")
    assert await world.outcome(r0, address=THIEF) == "session_revoked"
    assert world.accepts(r1) == "token_revoked"


@ON_EVERY_STORE
async def test_s17_a_reuse_counts_though_nobody_waits_for_the_answer(
    world: World, faulty: Faulty
) -> None:
    """The thief hangs up as soon as he has sent it; the session ends all the same."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    loaded, go_on = faulty.stop_after("load")
    thief = asyncio.create_task(world.refresh(r0, address=THIEF))
    await loaded.wait()
    thief.cancel()
    go_on.set()
    await auntil(lambda: world.events(EventType.TOKEN_REUSE))
    assert await world.outcome(r1, key(1)) == "session_revoked"


async def test_s17_a_bug_in_a_swap_does_not_spare_a_thief(
    world: World, faulty: Faulty
) -> None:
    """Who rotates with him gets the error; the reuse is found and told."""
    stolen, other = await world.sign_in(), await world.sign_in()
    await world.refresh(stolen, key())
    faulty.fail_before("swap", RuntimeError())
    rotation = asyncio.create_task(world.refresh(other, key()))
    assert await world.outcome(stolen, address=THIEF) == "refresh_reused"
    with pytest.raises(RuntimeError):
        await rotation


async def test_a_far_store_has_refreshes_in_two_batches(
    make_world: MakeWorld, faulty: Faulty
) -> None:
    """Those that come together are parted: half is judged while half is away."""
    faulty.is_remote = True
    world = await make_world()
    token_sets = [await world.sign_in() for _ in range(2 * SHARE_MIN)]
    faulty.calls.clear()
    await asyncio.gather(*(world.refresh(tokens, key()) for tokens in token_sets))
    assert faulty.calls.count("swap") == 2


@ON_EVERY_STORE
async def test_s17_a_revocation_that_waits_holds_nobody_up(
    world: World, faulty: Faulty
) -> None:
    """A reuse waits for its disk; who came with it in one batch has an answer."""
    stolen, other = await world.sign_in(), await world.sign_in()
    await world.refresh(stolen, key())
    loaded, go_on = faulty.stop_after("load")
    both = [world.outcome(stolen, address=THIEF), world.outcome(other, key())]
    reuse, rotation = map(asyncio.ensure_future, both)
    await loaded.wait()
    rotated, go_on_rotating = faulty.stop_before("swap")
    go_on.set()
    await rotated.wait()
    go_on_rotating.set()
    waits, go_on = faulty.stop_before("swap")
    assert (await rotation).startswith("ww_rt_")
    await waits.wait()
    assert not reuse.done()
    go_on.set()
    assert await reuse == "refresh_reused"
