"""Revocation and logout: afterwards no token of that session works, anywhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.patience import auntil
from tests.scenarios.api import PASSWORD, LocalApi, code_of, two_processes
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import ALICE, BOB, ON_EVERY_STORE, Faulty, World, key
from watchword.core.actor import EndReason
from watchword.core.limits import (
    DAY,
    FEED_POLL,
    FEED_STALE,
    FEED_TIMEOUT,
    KEY_POLL,
    MINUTE,
    REFRESH_ABSOLUTE,
    SECOND,
)
from watchword.core.session import TokenSet, from_text
from watchword.errors import StoreUnavailable, WatchwordError
from watchword.ports import Stores
from watchword.ports.audit import EventType
from watchword.ports.sessions import ByAccount, ById
from watchword.testing import ManualClock


@ON_EVERY_STORE
@pytest.mark.parametrize("first", ["logout", "refresh"])
async def test_s33_a_logout_races_a_refresh(
    world: World, faulty: Faulty, first: str
) -> None:
    """The refresh is stopped at its swap, on either side of it; the logout passes."""
    r0 = await world.sign_in()
    stop = faulty.stop_before if first == "logout" else faulty.stop_after
    reached, go_on = stop("swap")
    refreshing = asyncio.create_task(world.outcome(r0, key()))
    await reached.wait()
    assert await world.logout(r0) == 1
    go_on.set()
    outcome = await refreshing
    assert outcome == "session_revoked" or first == "refresh"
    for token in (outcome, r0.refresh_token):
        if token.startswith("ww_rt_"):
            assert await world.outcome(token, key()) == "session_revoked"
    assert world.accepts(r0) == "token_revoked"


class History:
    """What happened to one session, and whether that may be.

    Operations overlap; each has the moment at which it was asked and at which it was
    answered. Promises: once a logout was answered, nothing asked later is granted; all
    successors of one generation are the same; and in the end nothing works.
    """

    def __init__(self) -> None:
        self.moment = 0
        self.logged_out: int | None = None
        self.granted: list[tuple[int, TokenSet]] = []

    def tick(self) -> int:
        self.moment += 1
        return self.moment

    def check(self) -> None:
        successors: dict[int, set[str]] = {}
        for requested, tokens in self.granted:
            assert self.logged_out is None or requested < self.logged_out
            told = successors.setdefault(tokens.session.generation, set())
            told.add(tokens.refresh_token)
        assert all(len(told) == 1 for told in successors.values())


class Jittery(Faulty):
    """A store of sessions whose every call takes some turns, before and after."""

    draw: random.Random

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[object]]:
        call = super().__getattr__(verb)

        async def jittery(*args: object, **named: object) -> object:
            for _ in range(self.draw.randrange(6)):
                await asyncio.sleep(0)
            result = await call(*args, **named)
            for _ in range(self.draw.randrange(6)):
                await asyncio.sleep(0)
            return result

        return jittery


@ON_EVERY_STORE
@pytest.mark.parametrize("many", [100, pytest.param(1000, marks=pytest.mark.slow)])
async def test_s33_random_interleavings_leave_no_token_alive(
    stores: Stores, make_world: MakeWorld, many: int
) -> None:
    """Two workers, up to four refreshes with and without keys, and a logout."""
    jittery = Jittery(stores.sessions)
    jittery.draw = draw = random.Random(33)
    on = replace(stores, sessions=jittery)
    workers = [await make_world(stores=on) for _ in range(2)]
    granted = revoked = 0
    for _ in range(many):
        history = History()
        tokens = await workers[0].sign_in()
        newest = (
            await workers[0].refresh(tokens, key(9)) if draw.random() < 0.5 else tokens
        )

        async def refresh(
            token: TokenSet, given: str | None, history: History = history
        ) -> None:
            await asyncio.sleep(0)
            for _ in range(draw.randrange(25)):
                await asyncio.sleep(0)
            requested = history.tick()
            try:
                answer = await draw.choice(workers).refresh(token, given)
            except WatchwordError:
                return
            history.granted.append((requested, answer))

        async def logout(token: TokenSet, history: History = history) -> None:
            for _ in range(draw.randrange(90)):
                await asyncio.sleep(0)
            await draw.choice(workers).logout(token)
            history.logged_out = history.tick()

        keys = [None] if draw.random() < 0.1 else [key(draw.randrange(2))]
        tasks = [
            refresh(newest, draw.choice(keys)) for _ in range(draw.randrange(1, 5))
        ]
        await asyncio.gather(*tasks, logout(tokens))
        history.check()
        granted += bool(history.granted)
        for worker in workers:
            await worker.revocations.follow()
        every = [tokens, newest, *(answer for _, answer in history.granted)]
        for token in {one.refresh_token: one for one in every}.values():
            assert await workers[1].outcome(token, key(5)) == "session_revoked"
            assert all(worker.accepts(token) == "token_revoked" for worker in workers)
        revoked += 1
    assert revoked == many
    assert 0 < granted < many  # both orders happened


async def test_s34_a_logout_reaches_the_other_worker(tmp_path: Path) -> None:
    """Two processes on one folder: logout, logout-all and reuse.

    Within a second: the test below. How fast a busy machine is shows `make bench`.
    """
    async with two_processes(tmp_path / "data") as (here, there):

        async def by_logout(tokens: dict[str, str]) -> None:
            await here.logout(tokens["refreshToken"])

        async def by_logout_all(tokens: dict[str, str]) -> None:
            await here.logout_all(tokens["accessToken"])

        async def by_reuse(tokens: dict[str, str]) -> None:
            await here.refresh(tokens["refreshToken"])
            await here.refresh(tokens["refreshToken"])

        for end in (by_logout, by_logout_all, by_reuse):
            tokens = await here.login("admin")
            access = tokens["accessToken"]
            assert code_of(await there.secure(access)) == "ok"
            await end(tokens)
            # At once where it happened, a little later elsewhere.
            assert code_of(await here.secure(access)) == "token_revoked"

            async def refused(access: str = access) -> bool:
                return code_of(await there.secure(access)) == "token_revoked"

            await auntil(refused)
            assert await refused()


def test_s34_the_second_is_kept_by_how_often_a_process_looks() -> None:
    """A look at the feed begins that often, and one that hangs holds up no other."""
    assert FEED_POLL + FEED_TIMEOUT < SECOND
    assert KEY_POLL <= SECOND


@ON_EVERY_STORE
@pytest.mark.parametrize("change", ["disable", "password", "delete"])
async def test_s34_disable_and_password_change_are_felt_at_once(
    api: LocalApi, change: str
) -> None:
    tokens = await api.login()
    accounts = api.engine.accounts
    if change == "disable":
        assert await accounts.disable(await api.id_of("alice")) == 1
    elif change == "delete":
        assert await accounts.delete(await api.id_of("alice")) == 1
    else:
        assert (
            await accounts.set_password(await api.id_of("alice"), PASSWORD + " new")
            == 1
        )
    assert code_of(await api.secure(tokens["accessToken"])) == "token_revoked"
    again = await api.refresh(tokens["refreshToken"], key())
    assert code_of(again) == "session_revoked"
    refused = await api.try_login("alice", PASSWORD)
    assert (refused.status_code, code_of(refused)) == (401, "invalid_credentials")


@ON_EVERY_STORE
async def test_s35_logout_all_with_200_refreshes_in_flight(
    world: World, make_world: MakeWorld
) -> None:
    """No deadlock, and nobody of that account survives."""
    other = await make_world()
    token_sets = [await world.sign_in() for _ in range(200)]
    bystander = await world.sign_in(BOB)
    refreshing = [
        asyncio.create_task((world, other)[n % 2].outcome(tokens, key(n)))
        for n, tokens in enumerate(token_sets)
    ]
    await asyncio.sleep(0)
    ended = await other.sessions.revoke(ByAccount(ALICE), EndReason.LOGOUT_EVERYWHERE)
    assert ended == 200
    outcomes = await asyncio.gather(*refreshing)
    for worker in (world, other):
        await worker.revocations.follow()
        assert {worker.accepts(tokens) for tokens in token_sets} == {"token_revoked"}
        assert worker.accepts(bystander) == "ok"
    for number, (tokens, outcome) in enumerate(zip(token_sets, outcomes, strict=True)):
        newest = outcome if outcome.startswith("ww_rt_") else tokens
        assert await world.outcome(newest, key(number)) == "session_revoked"
    assert await world.outcome(bystander) != bystander.refresh_token


@ON_EVERY_STORE
async def test_s36_revoked_stays_revoked_for_the_whole_refresh_lifetime(
    world: World, make_world: MakeWorld, clock: ManualClock
) -> None:
    """Past restarts, sweeps, and the feed's entry running out with the last `exp`."""
    r0 = await world.sign_in()
    await world.logout(r0)
    for _ in range(7):
        clock.advance(DAY - 1)
        restarted = await make_world()
        await restarted.sweep()
        restarted.revocations.forget_expired()
        assert await restarted.outcome(r0, key()) == "session_revoked"
        assert restarted.accepts(r0) == "token_expired"


@ON_EVERY_STORE
async def test_s36_a_fresh_process_knows_of_a_revocation_from_before_its_start(
    world: World, make_world: MakeWorld, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    await world.logout(r0)
    clock.advance(2 * MINUTE - SECOND)
    restarted = await make_world()
    assert restarted.accepts(r0) == "token_revoked"


async def test_s37_a_rotation_does_not_kill_the_previous_access_token(
    api: LocalApi, clock: ManualClock
) -> None:
    """A slow request in flight succeeds, until its own token's time is over."""
    first = await api.login()
    await api.refresh(first["refreshToken"], key())
    clock.advance(119 * SECOND)
    assert code_of(await api.secure(first["accessToken"])) == "ok"
    clock.advance(SECOND)
    assert code_of(await api.secure(first["accessToken"])) == "token_expired"


async def test_s38_logout_is_idempotent_and_touches_no_foreign_session(
    api: LocalApi, clock: ManualClock
) -> None:
    """200 for unknown, foreign, expired and spent tokens alike (RFC 7009)."""
    mine, bystander = await api.login(), await api.login()
    r0 = mine["refreshToken"]
    sessions = api.engine.sessions
    unknown = sessions._tokens.mint(b"?" * 16, 0, b"?" * 20)
    row = await sessions.session_of(bystander["refreshToken"])
    assert row is not None
    wrong_secret = sessions._tokens.mint(row.id, 0, b"?" * 20)
    for token in (unknown, wrong_secret, "ww_rt_", "", r0[:-1] + "!", "ö" * 100):
        answer = await api.logout(token)
        assert (answer.status_code, code_of(answer)) == (200, "ok")
    assert code_of(await api.secure(mine["accessToken"])) == "ok"
    for _ in range(3):
        assert (await api.logout(r0)).json() == {"message": "Logged out successfully"}
    assert code_of(await api.secure(mine["accessToken"])) == "token_revoked"
    assert code_of(await api.secure(bystander["accessToken"])) == "ok"
    events = [event.type for _, event in await api.engine.stores.audit.read(0, 100)]
    assert events.count(EventType.SESSION_REVOKED) == 1
    clock.advance(8 * DAY)
    assert (await api.logout(bystander["refreshToken"])).status_code == 200


async def test_s38_a_spent_token_and_an_expired_access_token_end_their_session(
    api: LocalApi, clock: ManualClock
) -> None:
    first = await api.login()
    newest = (await api.refresh(first["refreshToken"], key())).json()
    await api.logout(first["refreshToken"])
    again = await api.refresh(newest["refreshToken"], key(1))
    assert code_of(again) == "session_revoked"
    other = await api.login()
    clock.advance(MINUTE * 5)
    answer = await api.client.post(
        "/api/auth/logout", headers={"Authorization": f"Bearer {other['accessToken']}"}
    )
    assert answer.status_code == 200
    again = await api.refresh(other["refreshToken"], key(1))
    assert code_of(again) == "session_revoked"


async def test_s38_the_last_half_second_of_a_session_can_log_out_too(
    api: LocalApi, clock: ManualClock
) -> None:
    """It gets no token any more, and the one it has is expired: no hindrance."""
    clock.advance(500)
    newest = await api.login()
    end = clock.now + REFRESH_ABSOLUTE
    for number in range(5):
        clock.advance(5 * DAY)
        newest = (await api.refresh(newest["refreshToken"], key(number))).json()
    clock.now = end - 501
    newest = (await api.refresh(newest["refreshToken"], key(9))).json()
    assert newest["expiresIn"] == 1
    clock.now = end - 400
    assert code_of(await api.refresh(newest["refreshToken"])) == "session_expired"
    assert code_of(await api.secure(newest["accessToken"])) == "token_expired"
    headers = {"Authorization": f"Bearer {newest['accessToken']}"}
    answer = await api.client.post("/api/auth/logout", headers=headers)
    assert answer.status_code == 200
    session_id = from_text(newest["sessionId"])
    assert session_id is not None
    row = await api.engine.sessions.get(session_id)
    assert row is not None
    assert row.revoked_reason == "logout"


async def test_s39_a_feed_that_is_cut_refuses_after_the_bound_and_recovers(
    world: World, faulty: Faulty
) -> None:
    """503, not 401: the client must not sign its user out."""
    r0 = await world.sign_in()
    faulty.fail_before("ended", times=3)
    for _ in range(3):
        world.monotonic.advance(FEED_STALE // 3)
        with pytest.raises(StoreUnavailable):
            await world.revocations.follow()
    assert world.accepts(r0) == "ok"
    world.monotonic.advance(1)
    assert world.accepts(r0) == "store_unavailable"
    await world.sessions.revoke(ById(r0.session.id), EndReason.LOGOUT)
    await world.revocations.follow()
    assert world.accepts(r0) == "token_revoked"


@ON_EVERY_STORE
async def test_s34_an_access_token_issued_while_the_logout_was_on_its_way_is_dead(
    world: World, make_world: MakeWorld, faulty: Faulty, clock: ManualClock
) -> None:
    """The logout is dated, then waits for the write lock; the session is refreshed.

    That access token lives longest: the revocation is remembered until it has expired.
    """
    other = await make_world()
    r0 = await world.sign_in()
    reached, go_on = faulty.stop_before("end")
    leaving = asyncio.create_task(world.logout(r0))
    await reached.wait()
    clock.advance(5 * SECOND)
    late = await other.refresh(r0, key())
    go_on.set()
    assert await leaving == 1
    await other.revocations.follow()
    for _ in range(124):
        clock.advance(SECOND)
        for worker in (world, other):
            await worker.revocations.follow()
            worker.revocations.forget_expired()
            assert worker.accepts(late) in ("token_revoked", "token_expired")
