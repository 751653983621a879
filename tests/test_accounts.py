"""Accounts: one answer and one cost for every failure; a throttle nobody slips past."""

from __future__ import annotations

import asyncio
import unicodedata
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.rows import in_one
from watchword.accounts.names import checked_roles, normalise_name
from watchword.accounts.registry import Accounts
from watchword.attempts import throttle_costs
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core.limits import (
    MINUTE,
    ROLE_MAX,
    ROLES_MAX,
    THROTTLE_ADDRESS_BURST,
    THROTTLE_NAME_BURST,
    THROTTLE_NAME_INTERVAL,
    USER_NAME_MAX,
)
from watchword.core.session import SessionOptions, TokenSet, as_text
from watchword.errors import (
    InvalidCredentials,
    InvalidRequest,
    NameTaken,
    NotFound,
    Overloaded,
    PasswordRejected,
    SessionRevoked,
    StoreUnavailable,
    Throttled,
    TokenRevoked,
    WatchwordError,
)
from watchword.passwords import INSECURE_FOR_TESTS, PasswordHasher
from watchword.ports.audit import EventType
from watchword.testing import ManualClock, SeededEntropy

PASSWORD = "correct horse battery staple 41"
OTHER = "another horse battery staple 42"
ADDRESS = "192.0.2.1"


class World:
    """An engine with the account alice, by her id."""

    def __init__(self, engine: Watchword, alice: bytes, clock: ManualClock) -> None:
        self.engine = engine
        self.accounts: Accounts = engine.accounts
        self.alice = alice
        self.clock = clock

    async def sign_in(
        self, name: str = "alice", password: str = PASSWORD, address: str = ADDRESS
    ) -> TokenSet:
        return await self.engine.sign_in.by_password(
            name, password, SessionOptions(client_id="first-party"), address=address
        )

    async def outcome(self, *args: str) -> str:
        try:
            await self.sign_in(*args)
        except WatchwordError as error:
            return error.code
        return "ok"

    async def refresh(self, tokens: TokenSet) -> TokenSet:
        return await self.engine.sessions.refresh(
            tokens.refresh_token, client_id="first-party"
        )

    async def events(self) -> list[EventType]:
        return [event.type for _, event in await self.engine.stores.audit.read(0, 999)]


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    memory = request.param == "memory"
    settings = Settings(
        data=tmp_path,
        database_url="memory:" if memory else f"sqlite:///{tmp_path}/a.db",
        secret=(SecretStr("s" * 40),),
    )
    clock = ManualClock()
    async with open_watchword(
        settings,
        clock=clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy(),
        hashing=INSECURE_FOR_TESTS,
        background=False,
    ) as engine:
        alice = await engine.accounts.register("alice", PASSWORD, roles=["reader"])
        yield World(engine, alice.id, clock)


# Sign-in: one answer, one cost.


@pytest.mark.parametrize("why", ["wrong", "unknown", "disabled", "surrogate", "long"])
async def test_every_failure_costs_one_hash_and_gives_one_answer(
    world: World, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "disabled":
        await world.accounts.disable(world.alice)
    hasher: Any = world.engine.hasher._argon2
    verified: list[str] = []

    class Counting:
        def verify(self, stored: str, secret: bytes) -> bool:
            verified.append(stored)
            return bool(hasher.verify(stored, secret))

        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

    counting = Counting()
    monkeypatch.setattr(world.engine.hasher, "_argon2", counting)
    monkeypatch.setattr("watchword.passwords.formats.argon2.PasswordHasher", Counting)
    name = "nobody" if why == "unknown" else "alice"
    passwords = {"disabled": PASSWORD, "surrogate": "\ud800" * 20, "long": "x" * 1025}
    with pytest.raises(InvalidCredentials) as refused:
        await world.sign_in(name, passwords.get(why, OTHER))
    assert str(refused.value) == "The user name or the password is wrong."
    assert (await world.events())[-1] == EventType.SIGN_IN_FAILED
    taken = throttle_costs(name, ADDRESS)
    assert await world.engine.stores.throttle.take(taken, world.clock.now) == 0
    if why != "wrong":
        assert len(verified) == 1


async def test_no_failure_is_recorded_with_a_name_or_a_password(world: World) -> None:
    await world.outcome("my password typed as a name", OTHER)
    events = repr(await world.engine.stores.audit.read(0, 99))
    assert "typed as a name" not in events
    assert OTHER not in events


async def test_a_good_sign_in_gives_a_session_of_that_account(world: World) -> None:
    tokens = await world.sign_in()
    account = await world.accounts.get("alice")
    claims = world.engine.checker.verify(tokens.access_token)
    assert claims.sub == as_text(account.id)
    assert claims.roles == ("reader",)
    assert "alice" not in repr(claims)
    assert (await world.events())[-1] == EventType.SIGN_IN


# The throttle.


async def test_guesses_at_one_name_are_throttled_in_all_its_spellings(
    world: World,
) -> None:
    spellings = ["alice", "ALICE", " Alice ", "\uff41\uff4c\uff49\uff43\uff45", "Ⓐlice"]
    for number in range(THROTTLE_NAME_BURST):
        spelling = spellings[number % len(spellings)]
        address = f"198.51.100.{number}"
        assert await world.outcome(spelling, OTHER, address) == "invalid_credentials"
    for spelling in spellings:
        assert await world.outcome(spelling, OTHER, "203.0.113.1") == "throttled"
        # The right password too: or else it would be an oracle.
        assert await world.outcome(spelling, PASSWORD, "203.0.113.1") == "throttled"
    assert await world.outcome("bob", OTHER, "203.0.113.1") == "invalid_credentials"
    world.clock.advance(THROTTLE_NAME_INTERVAL)
    assert await world.outcome() == "ok"


async def test_a_name_that_nobody_has_is_throttled_alike(world: World) -> None:
    outcomes = [
        await world.outcome("nobody", OTHER, f"198.51.100.{n}")
        for n in range(THROTTLE_NAME_BURST + 2)
    ]
    assert outcomes[-3:] == ["invalid_credentials", "throttled", "throttled"]


async def test_one_address_is_throttled_whatever_the_names(world: World) -> None:
    """IPv6 by /64, and an IPv4 address in either notation."""
    for number in range(THROTTLE_ADDRESS_BURST):
        address = f"2001:db8:1:2:{number:x}::1"
        outcome = await world.outcome(f"name{number}", OTHER, address)
        assert outcome == "invalid_credentials"
    assert await world.outcome("more", OTHER, "2001:db8:1:2:ffff::9") == "throttled"
    assert (
        await world.outcome("more", OTHER, "2001:db8:1:3::9") == "invalid_credentials"
    )
    assert await world.outcome() == "ok"


async def test_a_throttled_network_is_one_event_a_minute(world: World) -> None:
    """Not one for each name that it makes up, nor one for each address that it has."""
    for number in range(2 * THROTTLE_ADDRESS_BURST):
        await world.outcome(f"name{number}", OTHER, f"2001:db8::{number:x}")
    events = await world.events()
    assert events.count(EventType.SIGN_IN_FAILED) == THROTTLE_ADDRESS_BURST
    assert events.count(EventType.SIGN_IN_THROTTLED) == 1
    world.clock.advance(MINUTE)
    for number in range(10):
        await world.outcome(f"more{number}", OTHER, f"2001:db8::{number:x}")
    assert (await world.events()).count(EventType.SIGN_IN_THROTTLED) == 2


async def test_a_throttled_name_is_one_event_a_minute(world: World) -> None:
    """Wherever in the world it is guessed from."""
    for number in range(100):
        await world.outcome("alice", OTHER, f"198.51.100.{number}")
    events = await world.events()
    assert events.count(EventType.SIGN_IN_FAILED) == THROTTLE_NAME_BURST
    assert events.count(EventType.SIGN_IN_THROTTLED) == 1


def test_the_address_counter_has_one_key_per_customer() -> None:
    def key(address: str) -> str:
        return throttle_costs("x", address)[0].key

    assert key("2001:db8::1") == key("2001:DB8:0:0:ffff::") != key("2001:db8:0:1::1")
    assert key("192.0.2.1") == key("::ffff:192.0.2.1") != key("192.0.2.2")
    assert key("") == "address:"
    assert key("a unix socket") == "address:a unix socket"


async def test_parallel_guesses_cannot_slip_past(world: World) -> None:
    guesses = [world.outcome("alice", OTHER, f"198.51.{n}.1") for n in range(60)]
    outcomes = await asyncio.gather(*guesses)
    assert outcomes.count("invalid_credentials") == THROTTLE_NAME_BURST
    assert outcomes.count("throttled") == 60 - THROTTLE_NAME_BURST


async def test_a_success_gives_its_attempt_back_and_clears_the_name(
    world: World,
) -> None:
    for _ in range(2 * THROTTLE_ADDRESS_BURST):
        assert await world.outcome() == "ok"
    for _ in range(THROTTLE_NAME_BURST - 1):
        assert await world.outcome("alice", OTHER) == "invalid_credentials"
    assert await world.outcome() == "ok"
    for _ in range(THROTTLE_NAME_BURST):
        assert await world.outcome("alice", OTHER) == "invalid_credentials"


async def test_ones_own_success_does_not_clear_ones_address(world: World) -> None:
    """A guesser with an account of his own gains nothing by signing in with it."""
    await world.accounts.register("mallory", OTHER)
    passed = 0
    for number in range(THROTTLE_ADDRESS_BURST + 10):
        passed += await world.outcome(f"n{number}", OTHER) == "invalid_credentials"
        await world.outcome("mallory", OTHER)
    assert passed == THROTTLE_ADDRESS_BURST


@pytest.mark.parametrize(
    ("part", "verb", "fault"),
    [
        ("hasher", "verify", Overloaded()),
        ("stores.accounts", "by_name", StoreUnavailable()),
    ],
)
async def test_a_fault_of_ours_is_no_failure_of_the_user(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    verb: str,
    fault: WatchwordError,
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise fault

    with monkeypatch.context() as failing:
        failing.setattr(attrgetter(part)(world.engine), verb, fails)
        for _ in range(THROTTLE_NAME_BURST + 5):
            assert await world.outcome() == fault.code
            await asyncio.sleep(0)  # it is given back behind the answer
    assert await world.outcome() == "ok"


async def test_a_throttled_sign_in_costs_no_hash_and_says_how_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(THROTTLE_NAME_BURST):
        await world.outcome("alice", OTHER)

    async def hashed(*_: object, **__: object) -> None:
        raise AssertionError("a hash was paid for")

    monkeypatch.setattr(world.engine.hasher, "verify", hashed)
    with pytest.raises(Throttled) as refused:
        await world.sign_in()
    assert refused.value.retry_after == THROTTLE_NAME_INTERVAL // 1000 + 1


async def test_who_is_signed_in_already_does_not_notice(world: World) -> None:
    tokens = await world.sign_in()
    for _ in range(THROTTLE_NAME_BURST + 5):
        await world.outcome("alice", OTHER)
    assert (await world.refresh(tokens)).session.generation == 1


# What ends sessions, and the race with a sign-in under way.

Change = Callable[[World], Awaitable[Any]]

CHANGES: dict[str, Change] = {
    "password": lambda world: world.accounts.set_password(world.alice, OTHER),
    "disable": lambda world: world.accounts.disable(world.alice),
    "delete": lambda world: world.accounts.delete(world.alice),
}


async def _delete_and_make_again(world: World) -> None:
    await world.accounts.delete(world.alice)
    await world.accounts.register("alice", PASSWORD)


async def _disable_and_enable(world: World) -> None:
    await world.accounts.disable(world.alice)
    await world.accounts.enable(world.alice)


CHANGES["delete and make again"] = _delete_and_make_again
CHANGES["disable and enable"] = _disable_and_enable


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_s51_a_sign_in_under_way_is_taken_back(
    world: World, change: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has verified the old password; then everything ends; then it makes a session.

    `after`: the session was made, and its account not yet read again.
    """
    create = world.engine.stores.sessions.create
    made: list[bytes] = []

    async def late(session: Any, *given: Any, **named: Any) -> Any:
        made.append(session.id)
        if when == "before":
            await CHANGES[change](world)
        ended = await create(session, *given, **named)
        if when == "after":
            await CHANGES[change](world)
        return ended

    monkeypatch.setattr(world.engine.stores.sessions, "create", late)
    with pytest.raises(InvalidCredentials):
        await world.sign_in()
    (row,) = await world.engine.stores.sessions.load(made)
    assert row is not None
    assert row.revoked_at is not None
    assert world.engine.revocations.has_ended(as_text(row.id))


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_ends_every_session_and_its_access_tokens(
    world: World, change: str
) -> None:
    token_sets = [await world.sign_in() for _ in range(3)]
    await CHANGES[change](world)
    for tokens in token_sets:
        with pytest.raises(TokenRevoked):
            world.engine.checker.verify(tokens.access_token)
        with pytest.raises(SessionRevoked):
            await world.refresh(tokens)


async def test_a_new_password_may_keep_the_session_that_set_it(world: World) -> None:
    kept, other = await world.sign_in(), await world.sign_in()
    ended = await world.accounts.set_password(
        world.alice, OTHER, keep_session=kept.session.id
    )
    assert ended == 1
    assert (await world.refresh(kept)).session.generation == 1
    with pytest.raises(SessionRevoked):
        await world.refresh(other)
    assert await world.outcome("alice", PASSWORD) == "invalid_credentials"
    assert await world.outcome("alice", OTHER) == "ok"


async def test_a_token_leads_to_its_account_and_its_session(world: World) -> None:
    """By `sub` and `sid` as tokens have them; a client's `sub` leads to none."""
    kept = await world.sign_in()
    await world.sign_in()
    claims = world.engine.checker.verify(kept.access_token)
    account = await world.accounts.get_by_subject(claims.sub)
    assert (account.name, account.subject) == ("alice", claims.sub)
    assert await world.accounts.get_by_subject(uuid.UUID(claims.sub)) == account
    rows = await world.engine.sessions.list_of_account(account.id)
    assert claims.sid in [row.sid for row in rows]
    sid = claims.sid
    assert await world.accounts.set_password(world.alice, OTHER, keep_session=sid) == 1
    assert (await world.refresh(kept)).session.generation == 1
    for other in ("a-client", str(uuid.UUID(int=7)), claims.sub.upper(), ""):
        with pytest.raises(NotFound):
            await world.accounts.get_by_subject(other)


async def test_disabled_then_enabled_one_signs_in_anew_and_old_sessions_stay_dead(
    world: World,
) -> None:
    old = await world.sign_in()
    assert await world.accounts.disable((await world.accounts.get("ALICE")).id) == 1
    assert await world.outcome() == "invalid_credentials"
    await world.accounts.enable(world.alice)
    assert await world.outcome() == "ok"
    with pytest.raises(SessionRevoked):
        await world.refresh(old)


async def test_deleted_and_made_again_is_another_subject(world: World) -> None:
    old = await world.sign_in()
    before = await world.accounts.get("alice")
    await world.accounts.delete(world.alice)
    with pytest.raises(NotFound):
        await world.accounts.get("alice")
    await world.accounts.register("alice", PASSWORD)
    assert (await world.accounts.get("alice")).id != before.id
    with pytest.raises(SessionRevoked):
        await world.refresh(old)


async def test_of_two_changes_at_once_neither_is_lost(world: World) -> None:
    await asyncio.gather(
        world.accounts.set_roles(world.alice, ["writer"]),
        world.accounts.disable(world.alice),
        world.accounts.set_password(world.alice, OTHER),
    )
    account = await world.accounts.get("alice")
    assert (account.roles, account.disabled, account.epoch) == (("writer",), True, 2)


VERBS: dict[str, Change] = {
    "password": lambda world: world.accounts.set_password(world.alice, OTHER),
    "disable": lambda world: world.accounts.disable(world.alice),
    "enable": lambda world: world.accounts.enable(world.alice),
    "roles": lambda world: world.accounts.set_roles(world.alice, ["admin"]),
    "delete": lambda world: world.accounts.delete(world.alice),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_change_meets_the_account_that_was_looked_up_and_no_namesake(
    world: World, verb: str
) -> None:
    """The account is looked up; another one gets its name; then the change is made."""
    await world.accounts.delete(world.alice)
    await world.accounts.register("alice", PASSWORD, roles=["reader"])
    with pytest.raises(NotFound):
        await VERBS[verb](world)
    namesake = await world.accounts.get("alice")
    assert (namesake.version, namesake.roles) == (0, ("reader",))
    assert await world.outcome("alice", PASSWORD) == "ok"


@pytest.mark.parametrize("verb", VERBS)
async def test_a_name_in_place_of_an_id_is_said_to_be_none(
    world: World, verb: str
) -> None:
    world.alice = cast("bytes", "alice")
    with pytest.raises(TypeError, match=r"accounts\.get"):
        await VERBS[verb](world)


# Roles.


async def test_roles_reach_every_session_at_its_next_refresh(world: World) -> None:
    token_sets = [await world.sign_in() for _ in range(2)]
    await world.accounts.set_roles(world.alice, ["admin", "reader"])
    for tokens in token_sets:
        refreshed = await world.refresh(tokens)
        claims = world.engine.checker.verify(refreshed.access_token)
        assert claims.roles == ("admin", "reader")


async def test_roles_changed_during_a_sign_in_are_in_its_first_refresh(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = world.engine.stores.sessions.create

    async def late(session: Any, *given: Any, **named: Any) -> Any:
        await world.accounts.set_roles(world.alice, [])
        return await create(session, *given, **named)

    monkeypatch.setattr(world.engine.stores.sessions, "create", late)
    refreshed = await world.refresh(await world.sign_in())
    assert world.engine.checker.verify(refreshed.access_token).roles == ()


async def test_of_two_role_changes_the_later_one_reaches_the_sessions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is slow to reach the sessions: it must not bring the roles back."""
    tokens = await world.sign_in()
    assign = world.engine.stores.sessions.assign_roles
    once = asyncio.Event()

    async def slow(account_id: bytes, roles: tuple[str, ...]) -> None:
        if not once.is_set():
            once.set()
            await world.accounts.set_roles(world.alice, [])
        await assign(account_id, roles)

    monkeypatch.setattr(world.engine.stores.sessions, "assign_roles", slow)
    await world.accounts.set_roles(world.alice, ["reader"])
    assert (await world.accounts.get("alice")).roles == ()
    refreshed = await world.refresh(tokens)
    assert world.engine.checker.verify(refreshed.access_token).roles == ()


@pytest.mark.parametrize(
    "wrong",
    [[""], ["a b"], ['a"b'], ["a\\b"], ["é"], ["a\n"], ["x" * (ROLE_MAX + 1)]],
)
def test_a_role_is_visible_ascii_without_blank_quote_or_backslash(
    wrong: list[str],
) -> None:
    with pytest.raises(InvalidRequest):
        checked_roles(wrong)


def test_roles_are_few_and_come_once() -> None:
    assert checked_roles(["b", "a", "b"]) == ("b", "a")
    with pytest.raises(InvalidRequest):
        checked_roles(str(n) for n in range(ROLES_MAX + 1))


# Names and passwords.

NAMES = {
    "alice": "alice",
    "ALICE": "alice",
    "  alice\t": "alice",
    "\uff41\uff4c\uff49\uff43\uff45": "alice",
    "Straße": "strasse",
    "STRASSE": "strasse",
    "é": "é",
    "e\u0301": "é",
    "\u212b": "å",
    "ﬁona": "fiona",
    "ΣΊΣΥΦΟΣ": "σίσυφοσ",
    "İ": "i̇",
    "alice@example.com": "alice@example.com",
    "名前": "名前",
    "①": "1",
    "x" * USER_NAME_MAX: "x" * USER_NAME_MAX,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_one_spelling(name: str) -> None:
    assert normalise_name(name) == NAMES[name]


@in_one(
    "name",
    [
        *("", " ", "\n", "x" * (USER_NAME_MAX + 1), "ﷺ" * 15, "a\0", "a\x7f"),
        *("a\u200bb", "a\u202eb", "a\u00adb", "\ufeffa", "a\ud800", "a\ue000"),
        *("a\u2060b", "a\nb", "a\u0378", "admin\ufe0f", "\u3164admin", "a\u034fb"),
        *("a\u115f", "a\u180b", "a\U000e0100", "a\uffa0"),
    ],
)
def test_what_cannot_be_seen_or_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        normalise_name(name)


@given(st.text(min_size=1, max_size=20))
def test_the_one_spelling_is_its_own(name: str) -> None:
    try:
        once = normalise_name(name)
    except InvalidRequest:
        return
    assert normalise_name(once) == once
    assert unicodedata.is_normalized("NFKC", once)


async def test_a_name_is_taken_in_all_its_spellings(world: World) -> None:
    for name in ("alice", "ALICE", "\uff41\uff4c\uff49\uff43\uff45 "):
        with pytest.raises(NameTaken):
            await world.accounts.register(name, PASSWORD)
    assert not await world.accounts.is_empty()
    assert [account.name for account in await world.accounts.list()] == ["alice"]


async def test_a_weak_password_makes_no_account_and_ends_no_session(
    world: World,
) -> None:
    tokens = await world.sign_in()
    for weak in ("short", "password" * 2, "bob-bob-bob-bob-bob"):
        with pytest.raises(PasswordRejected):
            await world.accounts.register("bob-bob-bob-bob-bob", weak)
        with pytest.raises(PasswordRejected):
            await world.accounts.set_password(
                world.alice, weak if weak[0] != "b" else "x"
            )
    assert (await world.refresh(tokens)).session.generation == 1


async def test_an_imported_hash_signs_in_and_is_made_again(world: World) -> None:
    weaker = PasswordHasher(INSECURE_FOR_TESTS)
    from argon2 import PasswordHasher as Theirs  # noqa: PLC0415 - another system's

    theirs = Theirs(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    await world.accounts.import_hash("carol", theirs)
    assert await world.outcome("carol", OTHER) == "invalid_credentials"
    assert (await world.accounts.get("carol")).password_hash == theirs
    tokens = await world.sign_in("carol")
    account = await world.accounts.get("carol")
    assert account.password_hash != theirs
    assert account.epoch == 0
    assert (await world.refresh(tokens)).session.generation == 1
    assert await world.outcome("carol") == "ok"
    with pytest.raises(PasswordRejected):
        await world.accounts.import_hash("dave", "plain text")
    await weaker.close()
