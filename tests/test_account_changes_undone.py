"""What a change of an account leaves behind where the store fails half-way.

At every call of the store that a verb makes: before the call does its work, and after,
or the request is cancelled then. The caller asks again, as the answer 503 tells it to.
Then all is done that the verb promises, and the sessions that it ends have ended.
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
    C,
    World,
    outcome,
)
from watchword import background
from watchword.bootstrap import open_watchword
from watchword.config import Settings
from watchword.core import limits
from watchword.core.session import TokenSet
from watchword.errors import StoreUnavailable
from watchword.mail.message import MailPurpose
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.accounts import Account
from watchword.testing import ManualClock, SeededEntropy

PORTS: Final = (
    *("sessions", "accounts", "registrations", "confirmations", "throttle", "once"),
    *("credentials", "outbox", "audit"),
)


class Faults:
    """Counts the calls of all stores, and makes one of them fail."""

    def __init__(self, stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[str] = []
        self.failing: int | None = None
        self.how = ""
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
            if self.how != "unwritten":
                await verb(*given, **named)
            raise (
                asyncio.CancelledError if self.how == "cancelled" else StoreUnavailable
            )

        return call

    @contextlib.contextmanager
    def at(self, number: int, how: str) -> Iterator[None]:
        """A block in which the call of that number fails."""
        self.called.clear()
        self.failing, self.how = number, how
        yield
        self.failing = None


class Case:
    """An account with a session of its thief, and a verb that its owner asks for."""

    def __init__(self, world: World, ada: Account, thief: TokenSet) -> None:
        self.world = world
        self.ada = ada
        self.thief = thief
        self.token = ""
        self.handle = ""


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
    step_up = case.world.engine.second_factors.step_up
    await step_up.replace_password(
        case.ada.id, PASSWORD, OTHER, keep_session=None, address=HERE
    )


async def _change_asked(case: Case) -> None:
    await case.world.changes.ask(case.ada.id, B, by=USER)


async def _is_mailed(case: Case) -> None:
    assert [one.to for one in await case.world.mails() if one.token]


async def _change_mailed(case: Case) -> None:
    await _change_asked(case)
    case.token = (await case.world.mailed(B, MailPurpose.CONFIRM_EMAIL)).token


async def _confirm(case: Case) -> None:
    await case.world.changes.confirm(case.token, account_id=case.ada.id, address=HERE)


async def _is_moved(case: Case) -> None:
    assert (await case.world.row(case.ada.id)).email == B
    assert [one.to for one in await case.world.mails() if one.token] == [A]


async def _forgot(case: Case) -> None:
    await case.world.recovery.ask(A, address=HERE)


async def _register(case: Case) -> None:
    case.handle = await case.world.service.registrations.ask(
        C, PASSWORD, username="cyd", address=HERE
    )


async def _registered(case: Case) -> None:
    await _register(case)
    case.token = (await case.world.mailed(C, MailPurpose.CONFIRM)).token


async def _resend(case: Case) -> None:
    await case.world.service.registrations.resend(case.handle, address=HERE)


async def _confirm_registration(case: Case) -> None:
    await case.world.service.registrations.confirm(
        case.token, handles=[case.handle], address=HERE
    )


async def _has_account(case: Case) -> None:
    await case.world.sign_in(C)


async def _invite(case: Case) -> None:
    await case.world.service.invitations.invite(C, roles=["editor"])


async def _invited(case: Case) -> None:
    await _invite(case)
    case.token = (await case.world.mailed(C, MailPurpose.INVITATION)).token


async def _invited_already(case: Case) -> None:
    await case.world.service.invitations.invite(A, roles=["editor"])
    case.token = (await case.world.mailed(A, MailPurpose.INVITATION)).token


async def _accept(case: Case) -> None:
    await case.world.service.invitations.accept(case.token, PASSWORD, address=HERE)


async def _has_role(case: Case) -> None:
    assert (await case.world.sign_in()).session.roles == ("editor",)


async def _send(case: Case) -> None:
    """What is due now, and once the lease of what failed is over."""
    sender = case.world.engine.mail
    assert sender is not None
    for _ in range(2):
        await sender.send_due()
        await sender.close()
        case.world.clock.advance(limits.MAIL_LEASE + 1)


async def _is_sent(case: Case) -> None:
    """Once, or twice where the store did not take that it was."""
    await _send(case)
    sent = list(case.world.engine.settings.outbox_folder.glob("*.eml"))
    assert {b"ww_cf_" in one.read_bytes() for one in sent} == {True}


_USED: Final = {"confirmation_invalid"}
VERBS: Final[dict[str, tuple[Verb, Verb, Verb, set[str]]]] = {
    "reset": (_asked, _reset, _is_reset, _USED),
    "revert": (_moved, _revert, _is_reverted, _USED),
    "delete": (_nothing, _delete, _is_deleted, {"not_found"}),
    "change": (_nothing, _change, _is_reset, {"invalid_credentials"}),
    "ask for an address": (_nothing, _change_asked, _is_mailed, set()),
    "confirm an address": (_change_mailed, _confirm, _is_moved, _USED),
    "forgot": (_nothing, _forgot, _is_mailed, set()),
    "register": (_nothing, _register, _is_mailed, set()),
    "resend": (_registered, _resend, _is_mailed, set()),
    "confirm": (_registered, _confirm_registration, _has_account, _USED),
    "invite": (_nothing, _invite, _is_mailed, set()),
    "accept": (_invited, _accept, _has_account, _USED),
    "accept roles": (_invited_already, _accept, _has_role, _USED),
    "send a confirmation": (_register, _send, _is_sent, set()),
}
"""How each is prepared, asked for, seen to be done, and answered once it is done."""


async def _outcome(call: Awaitable[Any]) -> str:
    try:
        return await outcome(call)
    except asyncio.CancelledError:
        return "cancelled"


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Case]:
    settings = Settings(
        data=folder,
        database_url="memory:",
        registration="open",
        secret=(SecretStr(SECRET),),
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


@pytest.mark.parametrize("how", ["unwritten", "written", "cancelled"])
@pytest.mark.parametrize("name", VERBS)
async def test_half_of_a_change_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    monkeypatch.setattr(background, "PAUSES", (0, 0, 0))
    prepare, verb, check, done = VERBS[name]
    number, reached = 0, True
    while reached:
        async with opened(tmp_path / str(number)) as case:
            await prepare(case)
            with monkeypatch.context() as patch:
                faults = Faults(case.world.engine.stores, patch)
                with faults.at(number, how):
                    first = await _outcome(verb(case))
                    reached = len(faults.called) > number
                    at = (number, faults.called[number:][:1], first)
                if first != "ok":
                    assert first in {"store_unavailable", "cancelled"}, at
                    assert await outcome(verb(case)) in {"ok", *done}, at
                await case.world.engine.background.close()
            try:
                await check(case)
            except Exception as error:
                raise AssertionError(at) from error
        number += 1
    assert number > 1


@pytest.mark.parametrize("fault", [StoreUnavailable, asyncio.CancelledError])
async def test_a_sign_in_just_before_a_lost_reset_does_not_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    """The thief signs in after the sessions have ended, and before the write.

    The answer to the write is lost, and the token is spent: the owner cannot ask again.
    """
    async with opened(tmp_path) as case:
        await _asked(case)
        accounts = case.world.engine.stores.accounts
        swap, later = accounts.swap, list[TokenSet]()

        async def lost(*given: Any, **named: Any) -> bool:
            monkeypatch.setattr(accounts, "swap", swap)
            later.append(await case.world.sign_in())
            await swap(*given, **named)
            raise fault

        monkeypatch.setattr(accounts, "swap", lost)
        with pytest.raises(fault):
            await _reset(case)
        await case.world.engine.background.close()
        assert await case.world.has_ended(case.thief)
        assert await case.world.has_ended(later[0])
