"""Concurrency: of many at once one rotates, and who can prove a retry is answered."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.scenarios.api import LocalApi, code_of, two_processes
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import ON_EVERY_STORE, Faulty, World, generation_of, key
from tests.stores.on_file import writing
from watchword.core.limits import SECOND
from watchword.core.session import BROWSER, Policy, TokenSet
from watchword.errors import Overloaded, RefreshError, WatchwordError
from watchword.ports.audit import EventType
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy

GRACE = Policy(grace=10 * SECOND)


@ON_EVERY_STORE
@pytest.mark.parametrize("many", [2, 10, 100])
async def test_s09_simultaneous_refreshes_with_one_key_get_one_successor(
    api: LocalApi, many: int
) -> None:
    r0 = (await api.login())["refreshToken"]
    answers = await asyncio.gather(*[api.refresh(r0, key()) for _ in range(many)])
    assert [answer.status_code for answer in answers] == [200] * many
    successors = {answer.json()["refreshToken"] for answer in answers}
    assert len(successors) == 1
    assert api.engine.sessions._tokens.read(successors.pop())[1] == 1


async def test_s09_across_two_processes_on_one_folder(tmp_path: Path) -> None:
    """Half of them ask one process, half the other."""
    async with two_processes(tmp_path / "data") as (first, second):
        r0 = (await first.login("admin"))["refreshToken"]
        for round_ in range(2):  # more would be limited in rate
            apis = [first, second] * 50
            requested = [api.refresh(r0, key(round_)) for api in apis]
            answers = await asyncio.gather(*requested)
            assert Counter(a.status_code for a in answers) == {200: 100}
            successors = {a.json()["refreshToken"] for a in answers}
            assert len(successors) == 1
            assert r0 not in successors
            r0 = successors.pop()


@ON_EVERY_STORE
async def test_s10_without_keys_one_is_answered_and_the_session_is_revoked(
    api: LocalApi,
) -> None:
    """Somebody replays: the winner's successor dies too."""
    first = await api.login()
    r0 = first["refreshToken"]
    answers = await asyncio.gather(*[api.refresh(r0) for _ in range(100)])
    codes = Counter(map(code_of, answers))
    assert codes == {"ok": 1, "refresh_reused": 1, "session_revoked": 98}
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    after = await api.refresh(winner["refreshToken"])
    assert (after.status_code, code_of(after)) == (401, "session_revoked")
    for access in (first["accessToken"], winner["accessToken"]):
        assert code_of(await api.secure(access)) == "token_revoked"


@ON_EVERY_STORE
async def test_s10_with_a_grace_all_are_answered_and_the_session_lives(
    make_world: MakeWorld,
) -> None:
    worlds = [await make_world(policy=GRACE) for _ in range(2)]
    r0 = await worlds[0].sign_in()
    several = zip(itertools.cycle(worlds), range(100), strict=False)
    token_sets = await asyncio.gather(*[world.refresh(r0) for world, _ in several])
    assert len({tokens.refresh_token for tokens in token_sets}) == 1
    assert generation_of(worlds[0], token_sets[0].refresh_token) == 1
    assert generation_of(worlds[1], await worlds[1].outcome(token_sets[0])) == 2


class Jar:
    """A browser's cookie jar: the last answer that arrives is what it holds."""

    def __init__(self, token: str) -> None:
        self.token = token

    def arrives(self, sent: str, tokens: TokenSet) -> None:
        if tokens.refresh_token != sent:  # a `same` answer sets no cookie
            self.token = tokens.refresh_token


async def test_s11_three_tabs_converge_without_a_fork(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    """Tabs wake at 0, 5 and 9 s with the token of the jar as it was at 0 s."""
    world = await make_world(policy=BROWSER)
    r0 = await world.sign_in()
    clock.advance(60 * SECOND)
    successors = set()
    for pause in (0, 5, 4):
        clock.advance(pause * SECOND)
        successors.add((await world.refresh(r0)).refresh_token)
    (r1,) = successors
    clock.advance(60 * SECOND)
    assert generation_of(world, await world.outcome(r1)) == 2
    assert not await world.events(EventType.TOKEN_REUSE)


async def test_s11_answers_out_of_order_leave_a_cookie_that_works(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    """The retry's answer of 9.9 s is delivered after a refresh at 10.05 s.

    Without the hold-off, that refresh would make R2, and the late answer would put R1
    back into the jar: the next refresh would look like theft.
    """
    world = await make_world(policy=BROWSER)
    jar = Jar((await world.sign_in()).refresh_token)
    clock.advance(60 * SECOND)
    r0 = jar.token
    jar.arrives(r0, await world.refresh(r0))
    clock.advance(9_900)
    late = await world.refresh(r0)  # sent by another tab, its answer is under way
    clock.advance(150)
    sent = jar.token
    jar.arrives(sent, await world.refresh(sent))
    jar.arrives(r0, late)
    clock.advance(60 * SECOND)
    assert generation_of(world, await world.outcome(jar.token)) == 2
    assert not await world.events(EventType.TOKEN_REUSE)


async def test_s11_tabs_at_random_never_end_their_session(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    """Two hours of three tabs; an answer takes up to 9 s, and any order may happen."""
    world = await make_world(policy=BROWSER)
    jar = Jar((await world.sign_in()).refresh_token)
    draw = random.Random(11)
    under_way: list[tuple[int, str, TokenSet]] = []
    for _ in range(1500):
        clock.advance(draw.choice([100, 1000, 5000, 9000]))
        under_way.sort(key=lambda answer: answer[0])
        while under_way and under_way[0][0] <= clock.now:
            _, sent, tokens = under_way.pop(0)
            jar.arrives(sent, tokens)
        sent = jar.token
        arrives = clock.now + draw.randrange(9_000)
        under_way.append((arrives, sent, await world.refresh(sent)))
    assert not await world.events(EventType.TOKEN_REUSE)


async def test_s12_30_refreshes_in_3_seconds_rotate_once_per_hold_off(
    make_world: MakeWorld, clock: ManualClock
) -> None:
    world = await make_world(policy=BROWSER)
    newest = await world.sign_in()
    clock.advance(60 * SECOND)
    for _ in range(30):
        newest = await world.refresh(newest)
        clock.advance(100)
    assert (await world.row(newest)).generation == 1
    clock.advance(30 * SECOND)
    await world.refresh(newest)
    assert (await world.row(newest)).generation == 2


@pytest.mark.parametrize("policy", [Policy(), GRACE, BROWSER], ids=["0", "g", "b"])
async def test_s13_every_200_leaves_the_client_with_a_current_token(
    make_world: MakeWorld, clock: ManualClock, policy: Policy
) -> None:
    """Whatever is asked, with keys and without: an answer holds the current token."""
    world = await make_world(policy=policy)
    draw = random.Random(13)
    for _ in range(40):
        session = await world.sign_in()
        held, number = [session.refresh_token], 0
        for _ in range(12):
            clock.advance(draw.choice([0, 500, 9_000, 31_000]))
            number += draw.randrange(2)
            given = draw.choice([None, key(number), key(number)])
            try:
                tokens = await world.refresh(draw.choice(held[-3:]), given)
            except WatchwordError:
                continue
            current = (await world.row(session)).generation
            assert generation_of(world, tokens.refresh_token) == current
            assert world.accepts(tokens) == "ok"
            held.append(tokens.refresh_token)


@pytest.mark.parametrize("given", [key(), None], ids=["key", "no key"])
@pytest.mark.parametrize("verb", ["load", "swap"])
async def test_s14_a_transient_fault_is_503_or_healed_and_spends_nothing(
    world: World, faulty: Faulty, verb: str, given: str | None
) -> None:
    r0 = await world.sign_in()
    faulty.fail_before(verb, times=3)
    first = await world.outcome(r0, given)
    assert first == "store_unavailable"
    faulty.before.clear()
    assert generation_of(world, await world.outcome(r0, given)) == 1
    assert not await world.events(EventType.TOKEN_REUSE)


async def test_s14_over_http_it_is_503_with_retry_after(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    r0 = (await api.login())["refreshToken"]

    async def full(*_: object, **__: object) -> object:
        raise Overloaded

    with monkeypatch.context() as broken:
        broken.setattr(api.engine.stores.sessions, "swap", full)
        refused = await api.refresh(r0, key())
    assert (refused.status_code, code_of(refused)) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert code_of(await api.refresh(r0, key())) == "ok"


async def test_s14_another_process_holds_the_write_lock(
    tmp_path: Path, make_world: MakeWorld, clock: ManualClock
) -> None:
    """A real SQLITE_BUSY, longer than anybody waits for it."""
    import apsw  # noqa: PLC0415 - of this store alone

    path = tmp_path / "busy.db"
    stores = await open_stores(f"sqlite:///{path}", SeededEntropy())
    world = await make_world(stores=stores)
    r0 = await world.sign_in()
    writing(stores).set_busy_timeout(20)
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    assert await world.outcome(r0, key()) == "store_unavailable"
    assert await world.outcome(r0) == "store_unavailable"
    other.execute("ROLLBACK")
    other.close()
    assert generation_of(world, await world.outcome(r0)) == 1
    await stores.backend.close()


async def test_s15_two_connections_to_one_file_behave_as_one_store(
    tmp_path: Path, make_world: MakeWorld
) -> None:
    """SQLite has one isolation level; its processes race as tasks of one do."""
    url = f"sqlite:///{tmp_path}/shared.db"
    opened = [await open_stores(url, SeededEntropy()) for _ in range(3)]
    worlds = [await make_world(stores=stores) for stores in opened]
    for given, expected in (
        (key(), {"ok": 30}),
        (None, {"ok": 1, "refresh_reused": 1, "session_revoked": 28}),
    ):
        r0 = await worlds[0].sign_in()
        requested = [world.outcome(r0, given) for world in worlds * 10]
        outcomes = Counter(
            "ok" if outcome.startswith("ww_rt_") else outcome
            for outcome in await asyncio.gather(*requested)
        )
        assert outcomes == expected
    for stores in opened:
        await stores.backend.close()


@ON_EVERY_STORE
async def test_s16_the_loser_of_a_race_never_revokes_the_winner(
    make_world: MakeWorld, faulty: Faulty
) -> None:
    """Both judged generation 0; one wrote first; the other finds its own rotation."""
    winner, loser = await make_world(), await make_world()
    r0 = await winner.sign_in()
    reached, go_on = faulty.stop_before("swap")
    late = asyncio.create_task(loser.refresh(r0, key()))
    await reached.wait()
    first = await winner.refresh(r0, key())
    go_on.set()
    second = await late
    assert second.refresh_token == first.refresh_token
    assert await winner.outcome(first, key(1)) != first.refresh_token
    assert not await winner.events(EventType.TOKEN_REUSE)


@ON_EVERY_STORE
async def test_s16_the_loser_without_a_key_is_a_replay(
    make_world: MakeWorld, faulty: Faulty
) -> None:
    """The same race without keys: the second cannot prove anything."""
    winner, loser = await make_world(), await make_world()
    r0 = await winner.sign_in()
    reached, go_on = faulty.stop_before("swap")
    late = asyncio.create_task(loser.refresh(r0))
    await reached.wait()
    first = await winner.refresh(r0)
    go_on.set()
    with pytest.raises(RefreshError):
        await late
    assert await winner.outcome(first) == "session_revoked"
