"""Lost answers: a client that asks again is neither logged out nor given a fork."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.scenarios.api import LocalApi, Server, code_of
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import (
    ALICE,
    BOB,
    ON_EVERY_STORE,
    SECRET,
    THIEF,
    Faulty,
    World,
    generation_of,
    key,
    settle,
)
from watchword.core.limits import DAY, HOUR, JWKS_MAX_AGE, MINUTE, SECOND
from watchword.core.session import Session
from watchword.errors import Overloaded, StoreUnavailable
from watchword.ports.audit import EventType
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy

REUSE = EventType.TOKEN_REUSE


@pytest.mark.parametrize("later", [SECOND, 10 * MINUTE, 23 * HOUR])
async def test_s01_the_answer_is_dropped_and_asked_for_again(
    api: LocalApi, clock: ManualClock, later: int
) -> None:
    r0 = (await api.login())["refreshToken"]
    r1 = (await api.refresh(r0, key())).json()["refreshToken"]  # never arrives
    clock.advance(later)
    again = (await api.refresh(r0, key())).json()
    assert again["refreshToken"] == r1 != r0
    assert code_of(await api.secure(again["accessToken"])) == "ok"
    assert code_of(await api.refresh(r1, key(1))) == "ok"


async def test_s01_after_the_retry_window_the_same_request_is_reuse(
    api: LocalApi, clock: ManualClock
) -> None:
    r0 = (await api.login())["refreshToken"]
    r1 = (await api.refresh(r0, key())).json()["refreshToken"]
    clock.advance(DAY)
    assert code_of(await api.refresh(r0, key())) == "ok"  # the last moment
    clock.advance(1)
    late = await api.refresh(r0, key())
    assert (late.status_code, code_of(late)) == (401, "refresh_reused")
    assert code_of(await api.refresh(r1, key(1))) == "session_revoked"


@ON_EVERY_STORE
async def test_s02_a_crash_between_commit_and_answer_leaves_a_retry(
    world: World, faulty: Faulty, make_world: MakeWorld
) -> None:
    """The process dies having committed; another one answers the retry."""
    r0 = await world.sign_in()
    _, never = faulty.stop_after("swap")
    dying = asyncio.create_task(world.refresh(r0, key()))
    await faulty.reached["swap"].wait()
    dying.cancel()
    restarted = await make_world()
    r1 = await restarted.refresh(r0, key())
    assert generation_of(restarted, r1.refresh_token) == 1
    assert await restarted.outcome(r1, key(1)) != r1.refresh_token
    assert not await restarted.events(REUSE)
    never.set()


@ON_EVERY_STORE
async def test_s02_a_crash_before_the_commit_leaves_r0_current(
    world: World, faulty: Faulty, make_world: MakeWorld
) -> None:
    r0 = await world.sign_in()
    faulty.fail_before("swap", times=3)
    assert await world.outcome(r0, key()) == "store_unavailable"
    restarted = await make_world()
    assert (await restarted.row(r0)).generation == 0
    assert generation_of(restarted, await restarted.outcome(r0)) == 1


@pytest.mark.parametrize(
    ("moment", "generation"), [("before", 0), ("after", 1)], ids=["before", "after"]
)
async def test_s02_kill_9_around_the_commit_and_a_restart(
    tmp_path: Path, moment: str, generation: int
) -> None:
    """A real process, really killed: R0 is current, or the retry finds its successor.

    client ── refresh(R0, k) ──> server ── commit ──> disk
                     x <────────── kill -9
    """
    trigger = tmp_path / "die"
    server = Server(tmp_path / "data", WATCHWORD_REWIND_LIMIT="0")
    try:
        await server.start(f"--die-{moment}-commit", str(trigger))
        async with server.api() as api:
            r0 = (await api.login("admin"))["refreshToken"]
            trigger.touch()
            with pytest.raises(httpx2.TransportError):
                await api.refresh(r0, key())
        assert server.wait() == -9
        await server.start()
        async with server.api() as api:
            answer = await api.refresh(r0, key())
            assert answer.status_code == 200
            r1 = answer.json()["refreshToken"]
            assert code_of(await api.refresh(r1, key(1))) == "ok"
    finally:
        server.stop()
    kinds = await _events_in(tmp_path / "data" / "watchword.db")
    assert EventType.TOKEN_REUSE not in kinds
    assert (EventType.TOKEN_RETRY in kinds) == bool(generation)


async def _events_in(path: Path) -> list[EventType]:
    stores = await open_stores(f"sqlite:///{path}", SeededEntropy())
    events = await stores.audit.read(0, 1000)
    await stores.backend.close()
    return [event.type for _, event in events]


async def test_s03_answers_are_lost_twice_in_a_row(api: LocalApi) -> None:
    r0 = (await api.login())["refreshToken"]
    await api.refresh(r0, key(0))
    r1 = (await api.refresh(r0, key(0))).json()["refreshToken"]
    await api.refresh(r1, key(1))
    r2 = (await api.refresh(r1, key(1))).json()["refreshToken"]
    assert code_of(await api.refresh(r2, key(2))) == "ok"


class Hook:
    """An app's claims hook that can be told to fail."""

    def __init__(self) -> None:
        self.claims: Mapping[str, Any] = {}
        self.error: Exception | None = None

    async def __call__(self, session: Session) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        return self.claims


async def test_s04_the_claims_hook_fails_and_nothing_is_spent(
    make_world: MakeWorld,
) -> None:
    hook = Hook()
    world = await make_world(claims_hook=hook)
    r0 = await world.sign_in()
    hook.error = RuntimeError("the app's database is down")
    with pytest.raises(StoreUnavailable):
        await world.refresh(r0, key())
    assert (await world.row(r0)).generation == 0
    hook.error, hook.claims = None, {"tenant": "blue", "sub": "mallory"}
    r1 = await world.refresh(r0, key())
    assert await world.outcome(r1, key(1)) != r1.refresh_token
    # What a hook says of itself is heard, what it says of the subject is not.
    claims = world.checker.verify(r1.access_token)
    assert claims.sub != "mallory"


async def test_s04_claims_that_cannot_be_written_spend_nothing(
    make_world: MakeWorld,
) -> None:
    hook = Hook()
    world = await make_world(claims_hook=hook)
    r0 = await world.sign_in()
    hook.claims = {"unwritable": object()}
    with pytest.raises(TypeError):
        await world.refresh(r0, key())
    assert (await world.row(r0)).generation == 0
    hook.claims = {}
    assert generation_of(world, await world.outcome(r0, key())) == 1


async def test_s04_the_signer_fails_and_nothing_is_spent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour in the same batch is not drawn into it."""
    r0, neighbour = await world.sign_in(), await world.sign_in()
    active = world.keys.active
    sign, mine = active.sign, r0.session.id.hex()

    def failing(claims: Any, extra: Any) -> str:
        if claims.sid.replace("-", "") == mine:
            raise OSError("the key is gone")
        return sign(claims, extra)

    monkeypatch.setattr(active, "sign", failing)
    failed, answered = await asyncio.gather(
        world.refresh(r0, key()),
        world.refresh(neighbour, key()),
        return_exceptions=True,
    )
    assert isinstance(failed, OSError)
    assert not isinstance(answered, BaseException)
    assert (await world.row(r0)).generation == 0
    monkeypatch.undo()
    assert generation_of(world, await world.outcome(r0, key())) == 1


async def test_s04_over_http_a_failed_signature_is_5xx_and_the_retry_works(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    r0 = (await api.login())["refreshToken"]

    def failing(*_: object) -> str:
        raise OSError("the key is gone")

    with monkeypatch.context() as broken:
        broken.setattr(api.engine.keys.active, "sign", failing)
        assert (await api.refresh(r0, key())).status_code == 500
    assert code_of(await api.refresh(r0, key())) == "ok"


@pytest.mark.parametrize("fault", [StoreUnavailable(), Overloaded(), OSError()])
@pytest.mark.parametrize("verb", ["load", "swap"])
async def test_s04_a_fault_after_a_neighbours_swap_is_not_told_to_the_neighbour(
    world: World, faulty: Faulty, verb: str, fault: Exception
) -> None:
    """One of a batch was written, the other has to be judged again, and that fails.

    The first had its rotation, and no key to ask again with: it must hear of it.
    """
    first, second = await world.sign_in(ALICE), await world.sign_in(BOB)
    reached, go_on = faulty.stop_after("load")
    both = asyncio.gather(
        world.refresh(first), world.refresh(second), return_exceptions=True
    )
    await reached.wait()
    # Meanwhile the second row moves on, and then the store goes away.
    await faulty.real.assign_roles(second.session.account_id, ())
    faulty.fail_before(verb, fault, skip=1 if verb == "swap" else 0, times=3)
    go_on.set()
    answered, failed = await both
    assert isinstance(failed, type(fault))
    assert not isinstance(answered, BaseException)
    faulty.before.clear()
    assert (await world.row(first)).generation == 1
    assert (await world.row(second)).generation == 0


async def test_s05_the_answer_is_lost_and_the_user_logs_out_with_r0(
    api: LocalApi,
) -> None:
    first = await api.login()
    second = (await api.refresh(first["refreshToken"], key())).json()  # lost
    gone = await api.logout(first["refreshToken"])
    assert gone.json() == {"message": "Logged out successfully"}
    again = await api.refresh(second["refreshToken"], key(1))
    assert code_of(again) == "session_revoked"
    for access in (first["accessToken"], second["accessToken"]):
        assert code_of(await api.secure(access)) == "token_revoked"


@pytest.mark.parametrize("other", [key(1), None], ids=["another key", "no key"])
async def test_s06_r0_again_without_the_key_is_reuse(
    api: LocalApi, other: str | None
) -> None:
    first = await api.login()
    second = (await api.refresh(first["refreshToken"], key())).json()
    reused = await api.refresh(first["refreshToken"], other)
    assert (reused.status_code, code_of(reused)) == (401, "refresh_reused")
    assert 'error="invalid_token"' in reused.headers["www-authenticate"]
    assert code_of(await api.secure(second["accessToken"])) == "token_revoked"
    events = [event for _, event in await api.engine.stores.audit.read(0, 100)]
    assert [event.type for event in events].count(REUSE) == 1


async def test_s07_the_retry_comes_when_the_successor_was_already_used(
    world: World,
) -> None:
    """The key does not outlive its rotation."""
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key(0))
    r2 = await world.refresh(r1, key(1))
    assert await world.outcome(r0, key(0)) == "refresh_reused"
    assert await world.outcome(r2, key(2)) == "session_revoked"
    assert len(await world.events(REUSE)) == 1


async def test_s08_a_retry_straddles_a_change_of_the_signing_key(
    world: World, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    clock.advance(JWKS_MAX_AGE)
    before = world.keys.active.kid
    assert await world.keys.rotate() != before
    again = await world.refresh(r0, key())
    assert again.refresh_token == r1.refresh_token
    assert world.accepts(again) == "ok"
    assert await world.outcome(again, key(1)) != again.refresh_token


async def test_s08_a_retry_straddles_a_promotion_of_the_server_secret(
    make_world: MakeWorld,
) -> None:
    """Verify everywhere, then mint: under the new secret the bytes differ and work."""
    new = b"the-next-server-secret-0123456789-abcdefghij"
    old_mints = await make_world(secrets=(SECRET, new))
    r0 = await old_mints.sign_in()
    r1 = await old_mints.refresh(r0, key())
    new_mints = await make_world(secrets=(new, SECRET))
    again = await new_mints.refresh(r0, key())
    assert again.refresh_token != r1.refresh_token
    assert generation_of(new_mints, again.refresh_token) == 1
    assert new_mints.accepts(again) == "ok"
    # Both spellings of generation 1 are the one current token: either may go on.
    r2 = await old_mints.refresh(again, key(1))
    assert (await new_mints.refresh(r1, key(1))).session.generation == 2
    assert await new_mints.outcome(r2, key(2)) != "refresh_reused"
    assert not await new_mints.events(REUSE)


async def test_s08_a_client_with_one_constant_key_is_told_at_its_second_rotation(
    api: LocalApi,
) -> None:
    """A constant key would switch detection off: 400, nothing spent, no lock step."""
    r0 = (await api.login())["refreshToken"]
    r1 = (await api.refresh(r0, key())).json()["refreshToken"]
    for _ in range(3):
        refused = await api.refresh(r1, key())
        assert (refused.status_code, code_of(refused)) == (400, "retry_key_reused")
    assert code_of(await api.refresh(r1, key(1))) == "ok"


async def test_s01_a_late_retry_and_one_from_elsewhere_leave_an_event(
    world: World, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    await world.refresh(r0, key())
    clock.advance(2 * MINUTE)
    await world.refresh(r0, key(), address=THIEF)
    await settle(world.stores)
    (event,) = await world.events(EventType.TOKEN_RETRY)
    assert event.detail["late"] is True
    assert event.detail["elsewhere"] is True
    assert event.address == THIEF
