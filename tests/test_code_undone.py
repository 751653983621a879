"""What a fault of the store leaves of an exchange: nothing that is half-way.

Each call to the store fails in turn, before its work or after it, or its request is
cancelled there. Either the tokens are answered, or no session lives. A code is spent
where its session had to be taken back: for a fault of the store alone it never is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.codes import APP, HOME, KEY, OTHER_KEY, SCOPE, App, an_app
from tests.doors import outcome
from tests.store_faults import AFTER, FAULTS, Faults, settled
from watchword.core.actor import Actor, By, EndReason
from watchword.errors import StoreUnavailable
from watchword.oauth.exchange import Exchanged

USER = By(Actor.USER, HOME)


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    async with an_app(tmp_path, request.param) as made:
        # Nothing is left out: a client that has to be consented to.
        await made.change(APP, trusted=False)
        client = await made.engine.clients.get(APP)
        await made.oauth.consents.remember(
            made.root.account_id, client, SCOPE, (), by=USER
        )
        yield made


@AFTER
@FAULTS
async def test_an_exchange_that_failed_leaves_no_session(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    faults = Faults(app.stores, monkeypatch)
    faults.fault = fault
    calls = await faults.during(app.exchanged(await app.code()))
    assert calls.count("sessions.create") == 1
    for number, name in enumerate(calls):
        for one in await app.alive():
            await app.engine.sessions.end_one(one.id, EndReason.LOGOUT)
        code = await app.code()
        answered: list[Exchanged] = []

        async def call(code: str = code, to: list[Exchanged] = answered) -> None:
            to.append(await app.exchanged(code))

        await faults.during(call(), number, after=after)
        await settled(app.engine)
        row = await app.row(code)
        if answered:
            assert [one.id for one in await app.alive()] == [row and row.id], name
            continue
        assert await app.alive() == [], name
        is_spent = row is not None
        assert not is_spent or fault is asyncio.CancelledError, name
        again = await outcome(app.exchanged(code))
        assert again == ("code_invalid" if is_spent else "ok"), name


async def test_a_process_that_is_killed_costs_no_code(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had written the session, and took nothing back: the retry has its tokens.

    A request that cannot show the key ends it: none has its tokens.
    """
    for key, expected in ((KEY, "ok"), (OTHER_KEY, "code_reused")):
        code = await app.code()
        with monkeypatch.context() as killed:
            killed.setattr(app.oauth.exchange, "_settle", _killed)
            killed.setattr(app.engine.background, "start", _never)
            with pytest.raises(asyncio.CancelledError):
                await app.exchanged(code)
        (left,) = await app.alive()
        assert left.id == app.grant(code).session_id
        assert await outcome(app.exchanged(code, key)) == expected
        await app.engine.sessions.end_one(left.id, EndReason.LOGOUT)


async def _killed(*_: object) -> None:
    raise asyncio.CancelledError


def _never(*_: object) -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@AFTER
@FAULTS
async def test_a_retry_that_failed_leaves_the_session_as_it_was(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    """The tokens of the first answer work, and it is asked for again."""
    faults = Faults(app.stores, monkeypatch)
    faults.fault = fault
    code = await app.code()
    first = await app.exchanged(code)
    calls = await faults.during(app.exchanged(code))
    for number, name in enumerate(calls):
        await faults.during(app.exchanged(code), number, after=after)
        await settled(app.engine)
        again = await app.exchanged(code)
        assert again.tokens.refresh_token == first.tokens.refresh_token, name


@AFTER
@FAULTS
async def test_a_replay_that_failed_is_a_replay_when_it_comes_again(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    faults = Faults(app.stores, monkeypatch)
    faults.fault = fault
    code = await app.code()
    await app.exchanged(code)
    with monkeypatch.context() as unwritten:
        unwritten.setattr(app.stores.sessions, "swap", _unavailable)
        assert await outcome(app.exchanged(code, OTHER_KEY)) == "store_unavailable"
    for number in range(20):
        code = await app.code()
        await app.exchanged(code)
        calls = await faults.during(app.exchanged(code, OTHER_KEY), number, after=after)
        again = await outcome(app.exchanged(code, OTHER_KEY))
        assert again in {"code_reused", "code_invalid"}
        row = await app.row(code)
        assert row is not None
        assert row.revoked_reason == "code_reused"
        if number >= len(calls):
            return
    raise AssertionError("a replay has no such number of calls")


async def _unavailable(*_: object) -> Any:
    raise StoreUnavailable


async def test_a_store_that_stays_away_costs_the_code_and_no_more(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is ended once the store is back: its tokens were sent to none."""
    faults = Faults(app.stores, monkeypatch)
    code = await app.code()
    create, load = app.stores.sessions.create, app.stores.sessions.load
    with monkeypatch.context() as away:

        async def then_away(*given: Any) -> Any:
            await create(*given)
            away.setattr(app.stores.sessions, "load", _unavailable)
            raise StoreUnavailable

        away.setattr(app.stores.sessions, "create", then_away)
        away.setattr(app.stores.clients, "load", app.stores.clients.load)
        assert await outcome(app.exchanged(code)) == "store_unavailable"
    assert app.stores.sessions.load == load
    await settled(app.engine)
    assert faults.calls
    assert await app.alive() == []
    assert await outcome(app.exchanged(code)) == "code_invalid"
