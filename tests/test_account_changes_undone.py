"""What a change of an account leaves behind where the store fails half-way.

At every call of the store that a verb makes: before the call does its work, and after.
The caller asks again, as the answer 503 tells it to. Then all is done that the verb
promises, and the sessions that it ends have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from tests.test_recovery import (
    HERE,
    OTHER,
    PASSWORD,
    SECRET,
    USER,
    A,
    B,
    World,
    outcome,
)
from watchword import background
from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.core.session import TokenSet
from watchword.errors import StoreUnavailable
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.accounts import Account
from watchword.testing import ManualClock, SeededEntropy

PORTS: Final = (
    *("sessions", "accounts", "registrations", "confirmations", "throttle", "once"),
    *("outbox", "audit"),
)


class Faults:
    """Counts the calls of all stores, and makes one of them fail."""

    def __init__(self, stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[str] = []
        self.failing: int | None = None
        self.after = False
        for port in PORTS:
            store = getattr(stores, port)
            for name in dir(store):
                verb = getattr(store, name)
                if not name.startswith("_") and asyncio.iscoroutinefunction(verb):
                    monkeypatch.setattr(
                        store, name, self._watched(f"{port}.{name}", verb)
                    )

    def _watched(self, name: str, verb: Callable[..., Awaitable[Any]]) -> Any:
        async def call(*given: Any, **named: Any) -> Any:
            number = len(self.called)
            self.called.append(name)
            if number != self.failing:
                return await verb(*given, **named)
            if self.after:
                await verb(*given, **named)
            raise StoreUnavailable

        return call

    @contextlib.contextmanager
    def at(self, number: int, *, after: bool) -> Iterator[None]:
        """A block in which the call of that number fails."""
        self.called.clear()
        self.failing, self.after = number, after
        yield
        self.failing = None


class Case:
    """An account with a session of its thief, and a verb that its owner asks for."""

    def __init__(self, world: World, ada: Account, thief: TokenSet) -> None:
        self.world = world
        self.ada = ada
        self.thief = thief
        self.token = ""


Verb = Callable[[Case], Awaitable[Any]]


async def _nothing(_: Case) -> None:
    pass


async def _asked(case: Case) -> None:
    case.token = await case.world.asked()


async def _reset(case: Case) -> None:
    await case.world.recovery.reset(case.token, OTHER, address=HERE)


async def _is_reset(case: Case) -> None:
    await case.world.sign_in(password=OTHER)
    assert await case.world.has_ended(case.thief)


async def _moved(case: Case) -> None:
    case.token = await case.world.move(case.ada, B)


async def _revert(case: Case) -> None:
    await case.world.changes.revert(case.token, address=HERE)


async def _is_reverted(case: Case) -> None:
    assert (await case.world.row(case.ada.id)).email == A
    assert await case.world.has_ended(case.thief)


async def _delete(case: Case) -> None:
    mine = await case.world.engine.sessions.get(case.thief.session.id)
    if mine is None or mine.revoked_at is not None:
        return  # without a session it cannot be asked for again
    await case.world.accounts.delete(case.ada.id, by=USER)


async def _is_deleted(case: Case) -> None:
    stores = case.world.engine.stores
    assert await stores.accounts.by_id(case.ada.id) is None
    assert await case.world.has_ended(case.thief)


async def _change(case: Case) -> None:
    step_up = case.world.service.step_up
    await step_up.replace_password(
        case.ada.id, PASSWORD, OTHER, keep_session=None, address=HERE
    )


VERBS: Final[dict[str, tuple[Verb, Verb, Verb, set[str]]]] = {
    "reset": (_asked, _reset, _is_reset, {"confirmation_invalid"}),
    "revert": (_moved, _revert, _is_reverted, {"confirmation_invalid"}),
    "delete": (_nothing, _delete, _is_deleted, {"not_found"}),
    "change": (_nothing, _change, _is_reset, {"invalid_credentials"}),
}
"""How each is prepared, asked for, seen to be done, and answered once it is done."""


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Case]:
    settings = Settings(
        data=folder, database_url="memory:", secret=(SecretStr(SECRET),)
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
        world = World(engine, clock)
        ada = await world.account("ada", A)
        yield Case(world, ada, await world.sign_in())


@pytest.mark.parametrize("after", [False, True], ids=["unwritten", "written"])
@pytest.mark.parametrize("name", VERBS)
async def test_half_of_a_change_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool
) -> None:
    monkeypatch.setattr(background, "PAUSES", (0, 0, 0))
    prepare, verb, check, done = VERBS[name]
    number, reached = 0, True
    while reached:
        async with opened(tmp_path) as case:
            await prepare(case)
            with monkeypatch.context() as patch:
                faults = Faults(case.world.engine.stores, patch)
                with faults.at(number, after=after):
                    first = await outcome(verb(case))
                    reached = len(faults.called) > number
                    at = (number, faults.called[number:][:1], first)
                if first != "ok":
                    assert first == "store_unavailable", at
                    assert await outcome(verb(case)) in {"ok", *done}, at
                await case.world.engine.background.close()
            try:
                await check(case)
            except Exception as error:
                raise AssertionError(at) from error
        number += 1
    assert number > 3
