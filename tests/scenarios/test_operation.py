"""Storage and operation: dumps, rewinds, junk, sweeps, full disks, crashes, starts."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from tests.scenarios.api import (
    PASSWORD,
    LocalApi,
    Server,
    code_of,
    local_api,
    settings_for,
)
from tests.scenarios.conftest import MakeWorld
from tests.scenarios.world import (
    ON_EVERY_STORE,
    SECRET,
    THIEF,
    Faulty,
    World,
    generation_of,
    key,
    settle,
)
from watchword.core.access_token import claims_of
from watchword.core.limits import DAY, RETRIES_PER_MINUTE, SECOND, SWEEP_AFTER
from watchword.core.refresh_token import RefreshTokens
from watchword.core.session import EVERYTHING, Policy, TokenSet
from watchword.errors import KeyRingError
from watchword.keys.signing import generate
from watchword.keys.vault import Vault, derive
from watchword.ports.audit import Event, EventType
from watchword.ports.keys import KeyState
from watchword.ports.sessions import Change
from watchword.stores import open_stores
from watchword.testing import ManualClock, SeededEntropy

SQLITE_ONLY = pytest.mark.parametrize("kind", ["sqlite"], indirect=True)


@SQLITE_ONLY
async def test_s44_thousands_of_refreshes_are_one_row_and_a_file_that_does_not_grow(
    world: World, tmp_path: Path, kind: str
) -> None:
    """`make bench` does it 100,000 times and shows the latencies."""
    newest = await world.sign_in()
    sizes = []
    for number in range(3000):
        newest = await world.refresh(newest, key(number))
        if number % 1000 == 999:
            sizes.append((tmp_path / "watchword.db").stat().st_size)
    assert sizes[0] == sizes[-1]
    reader = apsw.Connection(str(tmp_path / "watchword.db"))
    assert reader.execute("SELECT count(*) FROM sessions").get == 1
    assert reader.execute("SELECT count(*) FROM audit").get == 2  # keys, sign-in
    reader.close()


async def test_s45_database_and_server_secret_forge_no_refresh_token(
    world: World,
) -> None:
    """Neither has the session's secret: the row has only its hash."""
    r0 = await world.sign_in()
    row = await world.row(r0)
    of_server = RefreshTokens([derive(SECRET, "refresh-token-mac")])
    of_dump = RefreshTokens([row.secret_hash])
    guesses = [row.secret_hash[:20], row.secret_hash[-20:], row.retry_hash[:20]]
    for generation in range(3):
        for guess in guesses:
            for forger in (of_server, of_dump):
                forged = forger.mint(row.id, generation, guess)
                assert await world.outcome(forged, key()) == "refresh_invalid"
                assert await world.sessions.session_of(forged) is None
    assert await world.row(r0) == row


async def test_s45_a_sid_and_the_server_secret_revoke_and_rotate_nothing(
    api: LocalApi,
) -> None:
    """The sid is in every access token and every log: it opens nothing."""
    tokens = await api.login()
    sid = bytes.fromhex(tokens["sessionId"].replace("-", ""))
    secret = api.engine.settings.secret[0].get_secret_value().encode()
    forger = RefreshTokens([derive(secret, "refresh-token-mac")])
    for drawn in (b"\0" * 20, sid + b"\0" * 4):
        forged = forger.mint(sid, 0, drawn)
        assert code_of(await api.refresh(forged, key())) == "refresh_invalid"
        assert (await api.logout(forged)).status_code == 200
    assert code_of(await api.secure(tokens["accessToken"])) == "ok"
    assert code_of(await api.refresh(tokens["refreshToken"], key())) == "ok"


async def test_s45_nothing_is_in_clear_at_rest(tmp_path: Path) -> None:
    """Every token, password and key used is looked for in every file of the folder."""
    settings = settings_for(tmp_path, "sqlite")
    seen: list[str] = [PASSWORD, "a wrong password 0123456789", SECRET.decode()]
    async with local_api(settings, ManualClock()) as api:
        tokens = await api.login()
        for number in range(5):
            seen += [tokens["accessToken"], tokens["refreshToken"], key(number)]
            answer = await api.refresh(tokens["refreshToken"], key(number))
            await api.refresh(tokens["refreshToken"], key(number))
            tokens = answer.json()
        await api.try_login("alice", seen[1])
        await api.refresh(seen[4], key(99))  # reuse, and its event
        seen += [tokens["accessToken"], tokens["refreshToken"], key(99)]
        private = [
            api.engine.keys._opened[row.kid].private_bytes()
            for row in api.engine.keys.rows
        ]
        secrets = [api.engine.sessions._tokens.read(seen[4])[2]]
        await settle(api.engine.stores)
        files = _files_of(tmp_path)
        assert {path.suffix for path in files} >= {".db", ".db-wal"}
        for path in files:
            assert path.stat().st_mode & 0o077 == 0, path
            content = path.read_bytes()
            for clear in [text.encode() for text in seen] + private + secrets:
                assert clear not in content, path
                assert clear.hex().encode() not in content, path


def _files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_s45_a_writer_in_the_database_cannot_plant_a_signing_key(
    world: World, make_world: MakeWorld
) -> None:
    """What the server secret did not seal is refused, and the ring in use stays."""
    r0 = await world.sign_in()
    planted = generate("ES256")
    claims = claims_of(
        r0.session,
        world.policy,
        EVERYTHING,
        issuer="https://auth.example",
        jti="forged",
        now=world.clock.now,
    )
    forged = planted.sign(claims, {"roles": ["admin"]})
    revision, rows = await world.stores.keys.load()
    event = Event(type=EventType.KEY_CHANGED, at=0)
    vault = Vault([b"the intruder's own secret, long enough"], SeededEntropy("thief"))
    genuine = next(row for row in rows if row.state == "active")
    for row in (
        vault.seal(planted, KeyState.ACTIVE, 0),
        msgspec.structs.replace(genuine, kid=planted.kid),
        msgspec.structs.replace(
            vault.seal(planted, KeyState.ACTIVE, 0), kid=genuine.kid
        ),
        msgspec.structs.replace(genuine, alg="RS256"),
        msgspec.structs.replace(genuine, sealed=planted.private_bytes()),
    ):
        others = [one for one in rows if one.state != "active"]
        assert await world.stores.keys.swap(revision, [*others, row], event)
        revision += 1
        with pytest.raises(KeyRingError):
            await world.keys.refresh()
        assert planted.kid.encode() not in world.keys.jwks
        assert world.accepts(forged) == "token_invalid"
        assert world.accepts(r0) == "ok"
        with pytest.raises(KeyRingError):
            await make_world()


async def rewind(world: World, tokens: TokenSet, generations: int) -> None:
    """The store lost its last writes: the row is what it was that many ago."""
    row = await world.row(tokens)
    lost = msgspec.structs.replace(
        row, generation=row.generation - generations, version=row.version + 1
    )
    assert await world.stores.sessions.swap([Change(row, lost)]) == [True]


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_s46_tokens_ahead_of_a_rewound_store_work_on_with_an_event(
    world: World, lost: int
) -> None:
    newest = await world.sign_in()
    for number in range(5):
        newest = await world.refresh(newest, key(number))
    await rewind(world, newest, lost)
    after = await world.refresh(newest, key(5))
    assert after.session.generation == 6
    (event,) = await world.events(EventType.TOKEN_REWOUND)
    assert event.detail["lost"] == lost
    assert (await world.refresh(newest, key(5))).refresh_token == after.refresh_token
    assert generation_of(world, await world.outcome(after, key(6))) == 7
    assert await world.outcome(newest, key(9)) == "refresh_reused"


async def test_s46_beyond_the_limit_that_session_is_revoked_and_no_other(
    world: World,
) -> None:
    other, newest = await world.sign_in(), await world.sign_in()
    for number in range(5):
        newest = await world.refresh(newest, key(number))
    await rewind(world, newest, 4)
    assert await world.outcome(newest, key(5)) == "session_revoked"
    assert world.accepts(newest) == "token_revoked"
    (event,) = await world.events(EventType.SESSION_REVOKED)
    assert event.detail["reason"] == "restored"
    assert event.session_id == newest.session.id
    assert world.accepts(other) == "ok"
    assert generation_of(world, await world.outcome(other)) == 1


async def test_s46_a_limit_of_0_switches_it_off(
    make_world: MakeWorld,
) -> None:
    world = await make_world(policy=Policy(rewind_limit=0))
    r1 = await world.refresh(await world.sign_in())
    await rewind(world, r1, 1)
    assert await world.outcome(r1) == "session_revoked"


async def test_s47_junk_is_refused_without_the_store(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Truncated, flipped, extended, wrongly prefixed, of another type, a megabyte."""
    tokens = await api.login()
    good = tokens["refreshToken"]

    async def touched(*_: object) -> Any:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(api.engine.stores.sessions, "load", touched)
    monkeypatch.setattr(api.engine.stores.sessions, "swap", touched)
    flipped = [
        good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
        for place in range(6, len(good), 7)
    ]
    junk = [
        *(good[:length] for length in range(0, len(good), 9)),
        *flipped,
        *(good + more for more in ("A", "=", " ", "\n", "\0")),
        *("ww_at_" + good[6:], good[6:], good.upper(), f" {good}", f"Bearer {good}"),
        *(tokens["accessToken"], tokens["sessionId"], "null", "ü" * 82),
    ]
    for token in junk:
        answer = await api.refresh(token, key())
        assert (answer.status_code, code_of(answer)) == (401, "refresh_invalid")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    huge = await api.refresh("ww_rt_" + "A" * 1_000_000)
    assert (huge.status_code, code_of(huge)) == (413, "payload_too_large")
    for body in (b"", b"{}", b"[]", b"1", b"null", b"{", b'{"refreshToken":1}'):
        answer = await api.client.post(
            "/api/auth/refresh",
            content=body,
            headers={"content-type": "application/json"},
        )
        assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


@ON_EVERY_STORE
async def test_s48_a_sweep_under_load_deletes_no_live_session(
    world: World, clock: ManualClock
) -> None:
    """1,200 dead ones, 100 live ones that refresh meanwhile."""
    dead = [await world.sign_in() for _ in range(1200)]
    clock.advance(dead[0].session.idle_expires_at - clock.now + SWEEP_AFTER)
    edge = await world.sweep_everything()
    assert edge == 0  # not yet: to the moment
    clock.advance(1)
    live = [await world.sign_in() for _ in range(100)]
    refreshing = asyncio.gather(*[world.refresh(one, key()) for one in live])
    swept = 0
    while swept < len(dead):
        swept += await world.sweep()
    token_sets = await refreshing
    assert {tokens.session.generation for tokens in token_sets} == {1}
    assert await world.outcome(dead[0]) == "refresh_invalid"
    for tokens in token_sets:
        assert generation_of(world, await world.outcome(tokens, key(1))) == 2


async def test_s48_a_revoked_session_is_swept_with_its_lifetime_and_not_before(
    world: World, clock: ManualClock
) -> None:
    r0 = await world.sign_in()
    await world.logout(r0)
    clock.advance(7 * DAY + SWEEP_AFTER)
    await world.sweep_everything()
    assert await world.outcome(r0) == "session_revoked"
    clock.advance(1)
    await world.sweep_everything()
    assert await world.outcome(r0) == "refresh_invalid"


@ON_EVERY_STORE
@pytest.mark.parametrize("change", ["disable", "delete", "password"])
async def test_s49_the_account_changes_between_check_and_swap(
    api: LocalApi, change: str
) -> None:
    """The refresh was judged while the account was fine; no token comes of it."""
    tokens = await api.login()
    engine, faulty = api.engine, Faulty(api.engine.stores.sessions)
    engine.sessions._refreshes._sessions = faulty  # stands before it
    reached, go_on = faulty.stop_before("swap")
    refreshing = asyncio.create_task(api.refresh(tokens["refreshToken"], key()))
    await reached.wait()
    if change == "disable":
        await engine.accounts.disable(await api.id_of("alice"))
    elif change == "delete":
        await engine.accounts.delete(await api.id_of("alice"))
    else:
        await engine.accounts.set_password(await api.id_of("alice"), PASSWORD + " new")
    go_on.set()
    answer = await refreshing
    assert (answer.status_code, code_of(answer)) == (401, "session_revoked")


async def test_s49_deleted_and_made_again_the_old_tokens_stay_dead(
    api: LocalApi,
) -> None:
    old = await api.login()
    await api.engine.accounts.delete(await api.id_of("alice"))
    await api.engine.accounts.register("alice", PASSWORD)
    assert code_of(await api.refresh(old["refreshToken"], key())) == "session_revoked"
    assert code_of(await api.secure(old["accessToken"])) == "token_revoked"
    new = await api.login()
    assert code_of(await api.secure(new["accessToken"])) == "ok"
    again = await api.refresh(old["refreshToken"], key(1))
    assert code_of(again) == "session_revoked"


async def test_s50_the_disk_is_full_and_then_it_is_not(tmp_path: Path) -> None:
    """503 while no file may grow; the process lives, and works again with room."""
    server = await Server(tmp_path / "data").start()
    try:
        async with server.api() as api:
            tokens = await api.login("admin")
            access = tokens["accessToken"]
            grown = max(path.stat().st_size for path in server.folder.iterdir())
            # The log grows in the same process: it must find no room either.
            assert grown > server.log.stat().st_size
            before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            limit = (server.folder / "watchword.db-wal").stat().st_size
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
            for _ in range(3):
                full = await api.refresh(tokens["refreshToken"], key())
                assert (full.status_code, code_of(full)) == (503, "store_unavailable")
                assert "retry-after" in full.headers
            assert (await api.try_login("admin", PASSWORD)).status_code == 503
            assert code_of(await api.secure(access)) == "ok"
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
            r1 = (await api.refresh(tokens["refreshToken"], key())).json()
            assert code_of(await api.refresh(r1["refreshToken"], key(1))) == "ok"
            await api.login("admin")
    finally:
        server.stop()


@ON_EVERY_STORE
@pytest.mark.parametrize("given", [key(), None], ids=["key", "no key"])
async def test_s53_the_commits_answer_is_lost_and_the_server_finds_its_own_rotation(
    world: World, faulty: Faulty, given: str | None
) -> None:
    """Repeated inside with the same key: the client, even without one, hears of it."""
    r0 = await world.sign_in()
    faulty.fail_after("swap")
    r1 = await world.refresh(r0, given)
    assert r1.session.generation == (await world.row(r0)).generation == 1
    assert generation_of(world, await world.outcome(r1, key(1))) == 2
    assert not await world.events(EventType.TOKEN_REUSE)


async def test_s53_lost_three_times_it_is_503_and_the_client_asks_again(
    world: World, faulty: Faulty
) -> None:
    r0 = await world.sign_in()
    faulty.fail_after("swap")
    faulty.fail_before("load", skip=1, times=1)
    assert await world.outcome(r0, key()) == "store_unavailable"
    assert generation_of(world, await world.outcome(r0, key())) == 1


async def test_s54_a_captured_refresh_replayed_every_second(
    world: World, clock: ManualClock
) -> None:
    """Token and key were captured together: access tokens, and never a new session.

    It is over with the victim's next refresh, whatever the thief does then.
    """
    r0 = await world.sign_in()
    r1 = await world.refresh(r0, key())
    for _ in range(300):
        clock.advance(SECOND)
        stolen = await world.refresh(r0, key(), address=THIEF)
        assert stolen.refresh_token == r1.refresh_token
    burst = [world.outcome(r0, key(), address=THIEF) for _ in range(500)]
    outcomes = await asyncio.gather(*burst)
    assert set(outcomes) == {r1.refresh_token, "throttled"}
    assert outcomes.count(r1.refresh_token) <= RETRIES_PER_MINUTE
    await settle(world.stores)
    events = await world.events(EventType.TOKEN_RETRY)
    assert {event.address for event in events} == {THIEF}
    assert {event.detail["late"] for event in events} == {False, True}
    assert len(events) == 2
    r2 = await world.refresh(r1, key(1))
    assert await world.outcome(r0, key(), address=THIEF) == "refresh_reused"
    assert world.accepts(r2) == "token_revoked"


async def test_a_client_that_replays_each_of_its_rotations_writes_few_events(
    world: World, clock: ManualClock
) -> None:
    """Rotations are as many as it likes; events of one kind are one a minute."""
    tokens = await world.sign_in()
    for number in range(2 * RETRIES_PER_MINUTE):
        after = await world.refresh(tokens, key(number))
        await world.refresh(tokens, key(number), address=THIEF)
        tokens = after
        clock.advance(SECOND)
    await settle(world.stores)
    assert len(await world.events(EventType.TOKEN_RETRY)) == 4


async def test_s55_several_start_at_once_on_an_empty_folder(tmp_path: Path) -> None:
    """One secret, one admin, one signing key, whoever was first."""
    folder = tmp_path / "data"
    servers = [Server(folder, name=f"s{n}").launch() for n in range(4)]
    try:
        await asyncio.gather(*[server.wait_until_ready() for server in servers])
        tokens = []
        for server in servers:
            async with server.api() as api:
                tokens.append(await api.login("admin"))
        for server in servers:
            async with server.api() as api:
                for one in tokens:
                    assert code_of(await api.secure(one["accessToken"])) == "ok"
    finally:
        for server in servers:
            server.stop()
    assert len((folder / "secret").read_text().split()) == 1
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert not [path for path in folder.iterdir() if path.name.startswith(".secret")]
    stores = await open_stores(f"sqlite:///{folder}/watchword.db", SeededEntropy())
    revision, keys = await stores.keys.load()
    accounts = await stores.accounts.list(limit=10)
    await stores.backend.close()
    assert revision == 1
    assert sorted(one.state for one in keys) == ["active", "next"]
    assert [account.name for account in accounts] == ["admin"]


async def test_s55_workers_of_one_server_share_it_all(tmp_path: Path) -> None:
    """`--workers 2` on an empty folder: tokens of one are good with the other."""
    server = Server(tmp_path / "data", WATCHWORD_WORKERS="2")
    try:
        await server.start()
        tokens = []
        for _ in range(6):  # a connection each: the kernel deals them out
            async with server.api() as api:
                tokens.append(await api.login("admin"))
        for _ in range(6):
            async with server.api() as api:
                for one in tokens:
                    assert code_of(await api.secure(one["accessToken"])) == "ok"
    finally:
        server.stop()
