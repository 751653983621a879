"""What a sign-in that does not succeed leaves behind: no session, and no count.

On every way in: by Watchword's accounts, and by an app's own users.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.scenarios.api import BASE, PASSWORD, LocalApi, code_of, settings_for
from tests.scenarios.api import local_api as open_api
from watchword import Credentials, Subject, background, errors
from watchword.accounts.rows import changed
from watchword.audit import AuditLimit
from watchword.background import Background
from watchword.core.actor import EndReason
from watchword.core.limits import THROTTLE_NAME_BURST
from watchword.core.session import Session, SessionOptions
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Trail
from watchword.sign_in.own_users import account_id_of
from watchword.testing import ManualClock

OPTIONS = SessionOptions(client_id="first-party")
OWN = 7


class Way:
    """One way to sign in, with all that can be made to fail."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.stores: Any = api.engine.stores
        self.name = "alice"
        self.requested = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def check(self, given: Credentials) -> Subject | None:
        """The app's own check of its users."""
        self.requested.set()
        if self.hold is not None:
            await self.hold.wait()
        return Subject(OWN) if given.password == PASSWORD else None

    async def sign_in(self, address: str = "192.0.2.1") -> Any:
        return await self.api.engine.sign_in.by_password(
            self.name, PASSWORD, OPTIONS, address=address
        )

    async def alive(self) -> list[Session]:
        """The sessions of the one user there is."""
        return list((await self.api.engine.sessions.page(None)).sessions)


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture(params=["accounts", "an address", "own users"])
async def way(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> AsyncIterator[Way]:
    ways: list[Way] = []

    async def check(given: Credentials) -> Subject | None:
        return await ways[0].check(given)

    own: dict[str, Any] = {}
    if request.param == "own users":
        own["authenticate"] = check
    settings = settings_for(tmp_path, kind)
    async with open_api(settings, ManualClock(), **own) as api:
        ways.append(Way(api))
        if request.param == "an address":
            ways[0].name = await _with_address(api)
        yield ways[0]


async def _with_address(api: LocalApi) -> str:
    """The address of alice, which she signs in by."""
    accounts, address = api.engine.stores.accounts, "alice@example.org"
    before = await accounts.by_name("alice")
    assert before is not None
    fields = {"email": address, "email_key": address, "email_confirmed_at": 1}
    assert await accounts.swap(before, changed(before, **fields), Trail())
    return address


async def _away(*_: object, **__: object) -> Any:
    raise StoreUnavailable


def _once(verb: Callable[..., Awaitable[Any]], *, after: bool) -> Any:
    """The verb, which fails at its first call: before it does its work, or after."""
    failing = [True]

    async def call(*given: Any, **named: Any) -> Any:
        if failing.pop() if failing else False:
            if after:
                await verb(*given, **named)
            raise StoreUnavailable
        return await verb(*given, **named)

    return call


# Sessions.


@pytest.mark.parametrize("after", [False, True], ids=["unwritten", "written"])
async def test_a_session_whose_commit_gave_no_answer_is_ended(
    way: Way, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    monkeypatch.setattr(
        way.stores.sessions, "create", _once(way.stores.sessions.create, after=after)
    )
    with pytest.raises(StoreUnavailable):
        await way.sign_in()
    assert await way.alive() == []
    await way.sign_in()
    assert len(await way.alive()) == 1


@pytest.mark.parametrize("way", ["accounts", "own users"], indirect=True)
async def test_a_second_look_that_fails_ends_the_session(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look at the account, or at the last end of the app's own user."""
    create = way.stores.sessions.create
    on: Any = way.stores.accounts
    verb = "by_id"
    if way.api.engine.subjects is not None:
        on, verb = way.stores.credentials, "by_key"

    async def then_away(*given: Any, **named: Any) -> Any:
        ended = await create(*given, **named)
        monkeypatch.setattr(on, verb, _away)
        return ended

    with monkeypatch.context() as away:
        away.setattr(way.stores.sessions, "create", then_away)
        with pytest.raises(StoreUnavailable):
            await way.sign_in()
    assert await way.alive() == []


@pytest.mark.parametrize("way", ["accounts"], indirect=True)
async def test_new_roles_that_cannot_be_given_end_the_session(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = way.stores.sessions.create

    async def late(session: Session, *given: Any, **named: Any) -> Any:
        await way.api.engine.accounts.set_roles(await way.api.id_of("alice"), ["admin"])
        monkeypatch.setattr(way.stores.sessions, "assign_roles", _away)
        return await create(session, *given, **named)

    monkeypatch.setattr(way.stores.sessions, "create", late)
    with pytest.raises(StoreUnavailable):
        await way.sign_in()
    assert await way.alive() == []


VERBS = [
    *(("accounts", "by_name"), ("accounts", "by_email"), ("throttle", "take")),
    *(("throttle", "give_back"), ("sessions", "create"), ("accounts", "by_id")),
    *(("credentials", "by_key"), ("credentials", "of_account")),
]


@pytest.mark.parametrize(("port", "verb"), VERBS)
async def test_a_sign_in_cancelled_at_any_verb_leaves_no_session_and_no_count(
    way: Way, monkeypatch: pytest.MonkeyPatch, port: str, verb: str
) -> None:
    """The store does what it was asked for, and its answer finds no caller."""
    on = getattr(way.stores, port)
    real = getattr(on, verb)
    tasks: list[asyncio.Task[Any]] = []

    async def call(*given: Any, **named: Any) -> Any:
        if tasks:
            tasks.pop().cancel()
        return await real(*given, **named)

    monkeypatch.setattr(on, verb, call)
    answered = 0
    for number in range(THROTTLE_NAME_BURST + 1):
        task = asyncio.create_task(way.sign_in(f"10.0.0.{number}"))
        tasks.append(task)
        await asyncio.gather(task, return_exceptions=True)
        await _settled(way.api.engine.background)
        tasks.clear()
        answered += not task.cancelled()
    # A way in does not use every verb, and a store in memory never waits in one.
    assert len(await way.alive()) == answered
    monkeypatch.undo()
    await way.sign_in()


@pytest.mark.parametrize("way", ["accounts"], indirect=True)
async def test_a_sign_in_cancelled_at_the_second_look_leaves_the_old_session(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of the cookie, which the browser then still has."""
    sign_in, cookies = (
        way.api.engine.sign_in,
        SessionOptions(client_id="first-party", cookie=True),
    )
    old = await sign_in.by_password("alice", PASSWORD, cookies)
    real = way.stores.accounts.by_id
    tasks: list[asyncio.Task[Any]] = []

    async def look(account_id: bytes) -> Any:
        tasks.pop().cancel()
        return await real(account_id)

    monkeypatch.setattr(way.stores.accounts, "by_id", look)
    again = sign_in.by_password("alice", PASSWORD, cookies, replaces=old.refresh_token)
    tasks.append(task := asyncio.create_task(again))
    await asyncio.gather(task, return_exceptions=True)
    await _settled(way.api.engine.background)
    assert task.cancelled()
    assert [one.id for one in await way.alive()] == [old.session.id]


async def test_a_store_that_is_away_at_that_moment_too_is_asked_again(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PAUSES", (0, 0, 0))
    real = way.stores.sessions.end
    failures = [StoreUnavailable(), StoreUnavailable()]

    async def end(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(*given)

    monkeypatch.setattr(way.stores.sessions, "end", end)
    monkeypatch.setattr(
        way.stores.sessions, "create", _once(way.stores.sessions.create, after=True)
    )
    with pytest.raises(StoreUnavailable):
        await way.sign_in()
    await _settled(way.api.engine.background)
    assert (failures, await way.alive()) == ([], [])


@pytest.mark.parametrize("step", ["the client", "the old cookie", "its session"])
async def test_what_fails_after_the_beginning_ends_the_session(
    way: Way, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The door looks at the client again, and ends the session of an old cookie."""
    engine, client = way.api.engine, way.api.client
    body = {"username": "alice", "password": PASSWORD, "transport": "cookie"}
    headers = {"X-Requested-With": "test", "Origin": "https://auth.example"}
    first = await client.post(f"{BASE}/login", json=body, headers=headers)
    assert code_of(first) == "ok"
    (old,) = await way.alive()
    if step == "the client":
        monkeypatch.setattr(engine.clients, "is_enabled", _away)
    elif step == "the old cookie":
        monkeypatch.setattr(engine.sessions, "session_of", _away)
    else:
        monkeypatch.setattr(
            way.stores.sessions, "end", _once(way.stores.sessions.end, after=False)
        )
    answer = await client.post(f"{BASE}/login", json=body, headers=headers)
    assert (answer.status_code, code_of(answer)) == (503, "store_unavailable")
    assert "set-cookie" not in answer.headers
    assert await way.alive() == [old]


async def test_an_end_during_a_sign_in_of_an_own_user_is_by_the_system(
    tmp_path: Path,
) -> None:
    way: Way

    async def check(given: Credentials) -> Subject | None:
        found = await way.check(given)
        assert way.api.engine.subjects is not None
        await way.api.engine.subjects.end_all(OWN, EndReason.ENDED_BY_APP)
        return found

    settings = settings_for(tmp_path, "memory")
    async with open_api(settings, ManualClock(), authenticate=check) as api:
        way = Way(api)
        answer = await api.try_login("alice", PASSWORD)
        assert code_of(answer) == "invalid_credentials"
        assert await way.alive() == []
        _, event = (await way.stores.audit.read(0, 99))[-1]
        assert event.account_id == account_id_of(OWN)
        assert dict(event.detail) == {"reason": "taken back", "by": "system"}


# The count.


@pytest.mark.parametrize("way", ["own users"], indirect=True)
async def test_an_attempt_cancelled_within_the_apps_check_is_given_back_once(
    way: Way,
) -> None:
    """Nor does it give room to other attempts of the same name."""
    for _ in range(THROTTLE_NAME_BURST - 1):
        answer = await way.api.try_login("alice", "wrong")
        assert code_of(answer) == "invalid_credentials"
    way.hold = asyncio.Event()
    way.requested.clear()
    for _ in range(3):
        task = asyncio.create_task(way.sign_in())
        await asyncio.wait_for(way.requested.wait(), 10)
        way.requested.clear()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _settled(way.api.engine.background)
    way.hold = None
    codes = [code_of(await way.api.try_login("alice", "wrong")) for _ in range(2)]
    assert codes == ["invalid_credentials", "throttled"]


async def test_a_fault_of_ours_is_not_counted_even_where_giving_back_fails_first(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PAUSES", (0, 0, 0))
    real = way.stores.sessions.create
    give_back = way.stores.throttle.give_back
    monkeypatch.setattr(way.stores.sessions, "create", _away)
    for number in range(THROTTLE_NAME_BURST + 5):
        monkeypatch.setattr(
            way.stores.throttle, "give_back", _once(give_back, after=False)
        )
        with pytest.raises(StoreUnavailable):
            await way.sign_in(f"10.0.0.{number}")
        await _settled(way.api.engine.background)
    monkeypatch.setattr(way.stores.sessions, "create", real)
    await way.sign_in()


async def test_a_wrong_password_stays_counted_where_the_audit_log_is_away(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else an outage of the log would let anybody guess without end."""
    monkeypatch.setattr(AuditLimit, "record", _away)
    for _ in range(THROTTLE_NAME_BURST):
        answer = await way.api.try_login("alice", "wrong")
        assert code_of(answer) == "store_unavailable"
    monkeypatch.undo()
    assert code_of(await way.api.try_login("alice", PASSWORD)) == "throttled"


# Work in the background.


async def test_background_work_is_bounded_in_number_and_in_tries(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "PENDING_MAX", 2)
    monkeypatch.setattr(background, "PAUSES", (0, 0))
    tries: list[str] = []
    go_on = asyncio.Event()

    def work(name: str, fault: Exception | None = None) -> Any:
        async def run() -> None:
            tries.append(name)
            await go_on.wait()
            if fault is not None:
                raise fault

        return run

    waiting = Background()
    waiting.start(work("away", StoreUnavailable()), "one")
    waiting.start(work("broken", ValueError("x")), "two")
    await asyncio.wait_for(waiting.start(work("too many"), "three"), 5)
    go_on.set()
    await _settled(waiting)
    assert sorted(tries) == ["away", "away", "away", "broken"]
    assert [record.message for record in caplog.records] == [
        "three: not done, too much is waiting to be done",
        "two: failed",
        "one: not done, the store was away for too long",
    ]


async def test_closing_ends_what_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_CLOSING", 0.01)
    waiting = Background()
    tried = waiting.start(_away, "giving up")
    await background.wait_briefly(tried)
    assert tried.done()
    await waiting.close()
    assert not waiting._tasks


async def _settled(work: Background) -> None:
    """Wait until all background work is over."""
    async with asyncio.timeout(30):
        while work._tasks:
            await asyncio.wait(work._tasks)
            await asyncio.sleep(0)


async def test_an_attempt_that_a_busy_store_refused_is_not_given_back(
    way: Way, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the caller has gone by then: nothing is tried for five minutes."""
    monkeypatch.setattr(background, "PAUSES", (0,))
    requested, refused = asyncio.Event(), asyncio.Event()

    async def take(*_: Any) -> int:
        requested.set()
        await refused.wait()
        raise errors.Overloaded

    monkeypatch.setattr(way.stores.throttle, "take", take)
    task = asyncio.create_task(way.sign_in())
    await asyncio.wait_for(requested.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    refused.set()
    await _settled(way.api.engine.background)
    assert caplog.messages == []
