"""Who says that a session has ended, and whom that keeps waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import ALICE, THIEF, Faulty, World, key
from watchword.core.session import Grant
from watchword.errors import StoreUnavailable

End = Callable[[World, Grant], Awaitable[object]]


async def _by_logout(world: World, grant: Grant) -> object:
    return await world.logout(grant)


async def _everywhere(world: World, grant: Grant) -> object:
    return await world.sessions.end_all(grant.session.account_id, "logout")


async def _by_reuse(world: World, grant: Grant) -> object:
    return await world.outcome(grant, address=THIEF)


@pytest.mark.parametrize(
    ("end", "verb"), [(_by_logout, "end"), (_everywhere, "end"), (_by_reuse, "swap")]
)
async def test_s34_after_an_unknown_outcome_it_is_known_when_it_is_told(
    world: World, faulty: Faulty, end: End, verb: str
) -> None:
    """The commit's answer was lost; asked again, this process refuses at once."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    faulty.fail_after(verb, times=3)
    try:
        told = await end(world, r0)
    except StoreUnavailable:
        told = None
    faulty.after.clear()
    if told is None:
        assert world.accepts(r1) == "ok"  # nobody knows yet
        await end(world, r0)
    assert world.accepts(r1) == "token_revoked"


async def test_s34_who_logs_out_what_another_process_ended_is_believed(
    world: World, make_world: MakeWorld
) -> None:
    """The second logout ends nothing, and from then on this process refuses too."""
    other = await make_world()
    r0 = await world.sign_in(ALICE)
    await other.refresh(r0, key())
    assert await other.logout(r0) == 1
    assert world.accepts(r0) == "ok"  # it may take a second to get here
    assert await world.logout(r0) == 0
    assert world.accepts(r0) == "token_revoked"


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
