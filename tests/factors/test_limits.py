"""How often a second factor may be tried, whatever the caller does in between."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from watchword.attempts import factor_counters
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.limits import (
    DAY,
    FACTOR_ACCOUNT_BURST,
    FACTOR_ACCOUNT_INTERVAL,
    FACTOR_FAILURES_MAX,
    FACTOR_NETWORK_BURST,
    HOUR,
    TOTP_STEP,
)
from watchword.core.totp import code_at
from watchword.errors import StoreUnavailable, Throttled, WatchwordError
from watchword.factors.proof import FactorProof, Method
from watchword.keys.sealing import Sealing
from watchword.mail.message import SEALED_AS, MailPurpose, open_mail
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.ports.audit import EventType
from watchword.testing import ManualClock, SeededEntropy

SECRET = "s" * 40
PASSWORD = "correct horse battery staple 41"
OPERATOR = By(Actor.OPERATOR)
HERE = "192.0.2.1"
OK, WRONG, LATER = "ok", "second_factor_invalid", "throttled"


class World:
    """A user with an authenticator app, in one process or several on one store."""

    def __init__(self, engine: Watchword, clock: ManualClock) -> None:
        self.engine: Any = engine
        self.clock = clock
        self.user = b""
        self.secret = b""
        self.codes: list[str] = []

    async def begin(self) -> None:
        account = await self.engine.accounts.register("ada", PASSWORD)
        await self.engine.self_service.email_changes.assign(
            account.id, "ada@a.example", confirmed=True, by=OPERATOR
        )
        self.user = account.id
        await self.enrol()

    async def enrol(self) -> None:
        parts = self.engine.second_factors
        pending = parts.totp.begin(self.user, "ada")
        self.secret = base64.b32decode(pending.secret)
        row, _ = parts.totp.confirmed(self.user, pending.factor, self.code())
        codes = await parts.factors.add(self.user, row, keep_session=None, by=OPERATOR)
        self.codes = list(codes)
        self.clock.advance(TOTP_STEP)
        await self.mails()

    def code(self) -> str:
        return code_at(self.secret, self.clock.now // TOTP_STEP)

    def wrong(self) -> str:
        now = self.clock.now // TOTP_STEP
        right = {code_at(self.secret, now - back) for back in range(2)}
        return next(f"{n:06}" for n in range(3) if f"{n:06}" not in right)

    async def prove(
        self,
        code: str,
        *,
        by: Method = Method.TOTP,
        user: bytes = b"",
        address: str = HERE,
        bound: str = "",
    ) -> str:
        """`ok`, or the code of the refusal. `bound` is another continuation."""
        proof = FactorProof(method=by, code=code)
        try:
            await self.engine.second_factors.proofs.prove(
                user or self.user, proof, address=address, bound=bound
            )
        except WatchwordError as error:
            return error.code
        return OK

    async def mails(self) -> list[MailPurpose]:
        """What the user was told of since."""
        sealing = Sealing([SECRET.encode()], SEALED_AS, SeededEntropy("mails"))
        outbox = self.engine.stores.outbox
        rows = [one.message for one in await outbox.list(limit=999)]
        await outbox.done([one.id for one in rows])
        mails = [open_mail(one, sealing) for one in rows]
        assert {one.to for one in mails} <= {"ada@a.example"}
        return [one.purpose for one in mails]


@contextlib.asynccontextmanager
async def opened(
    folder: Path, clock: ManualClock, *, memory: bool = False
) -> AsyncIterator[World]:
    """A process; two on one file are two servers, or one before and after a restart."""
    settings = Settings(
        data=folder,
        database_url="memory:" if memory else f"sqlite:///{folder}/a.db",
        secret=(SecretStr(SECRET),),
    )
    async with open_watchword(
        settings,
        clock=clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy(str(clock.now)),
        hashing=INSECURE_FOR_TESTS,
        background=False,
    ) as engine:
        yield World(engine, clock)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path, ManualClock(), memory=True) as world:
        await world.begin()
        yield world


def networks() -> Iterator[str]:
    """Ten thousand, and more: no two in one /64."""
    number = 0
    while True:
        number += 1
        yield f"2001:db8:{number >> 8:x}:{number & 255:x}::1"


async def test_wrong_codes_of_one_user_are_few_from_ten_thousand_networks(
    world: World,
) -> None:
    """Each from another network, and for another continuation."""
    some = networks()
    for _ in range(FACTOR_ACCOUNT_BURST):
        code, address = world.wrong(), next(some)
        assert await world.prove(code, address=address, bound=address) == WRONG
    outcomes = set()
    for _ in range(10_000):
        address = next(some)
        outcomes.add(await world.prove(world.code(), address=address, bound=address))
    assert outcomes == {LATER}
    world.clock.advance(FACTOR_ACCOUNT_INTERVAL)
    assert await world.prove(world.code(), address=next(some)) == OK


async def test_one_network_tries_few_users(world: World) -> None:
    users = [number.to_bytes(16) for number in range(FACTOR_NETWORK_BURST)]
    for user in users:
        assert await world.prove("000000", user=user) == WRONG
    assert await world.prove(world.code()) == LATER
    assert await world.prove(world.code(), address="2001:db8::1") == OK


async def test_limits_hold_over_servers_and_restarts(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as one, opened(tmp_path, clock) as other:
        await one.begin()
        other.user = one.user
        servers = (one, other)
        for number in range(FACTOR_ACCOUNT_BURST):
            assert await servers[number % 2].prove(one.wrong()) == WRONG
        for server in servers:
            assert await server.prove(one.code()) == LATER
    async with opened(tmp_path, clock) as again:
        again.user = one.user
        assert await again.prove(one.code()) == LATER
        clock.advance(FACTOR_ACCOUNT_INTERVAL)
        assert await again.prove(one.code()) == OK
        assert await again.prove(one.code()) == WRONG


async def test_a_right_password_sets_no_factor_back_and_a_right_factor_does(
    world: World,
) -> None:
    for _ in range(FACTOR_ACCOUNT_BURST):
        await world.engine.sign_in.check_password("ada", PASSWORD, address=HERE)
        assert await world.prove(world.wrong()) == WRONG
    await world.engine.sign_in.check_password("ada", PASSWORD, address=HERE)
    assert await world.prove(world.code()) == LATER
    for _ in range(3):
        world.clock.advance(FACTOR_ACCOUNT_INTERVAL)
        assert await world.prove(world.code()) == OK
        for _ in range(FACTOR_ACCOUNT_BURST - 1):
            assert await world.prove(world.wrong()) == WRONG


async def test_faults_and_right_factors_take_no_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2 * FACTOR_NETWORK_BURST):
        world.clock.advance(TOTP_STEP)
        assert await world.prove(world.code()) == OK
    world.clock.advance(TOTP_STEP)

    async def away(*_: object) -> bool:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(world.engine.stores.credentials, "swap", away)
        for _ in range(2 * FACTOR_NETWORK_BURST):
            assert await world.prove(world.code()) == StoreUnavailable.code
    assert await world.prove(world.code()) == OK


async def test_what_is_wrong_looks_the_same_whatever_it_is(world: World) -> None:
    """A wrong code, a used one, one of another kind, one of an unknown user."""
    (code, *_), used = world.codes, world.code()
    assert await world.prove(used) == OK
    for given in (
        {"code": used},
        {"code": world.wrong()},
        {"code": "not a code"},
        {"code": code},
        {"code": used, "by": Method.RECOVERY_CODE},
        {"code": used, "user": bytes(16)},
        {"code": code, "by": Method.RECOVERY_CODE, "user": bytes(16)},
    ):
        kind: Any = given
        assert await world.prove(**kind) == WRONG
        # What the others count is not asked here.
        counters = factor_counters(world.user)
        await world.engine.stores.throttle.give_back((), forget=counters)
    events = [event for _, event in await world.engine.stores.audit.read(0, 999)]
    failed = [one for one in events if one.type is EventType.FACTOR_FAILED]
    assert len(failed) == 7
    assert all(one.address == HERE and not one.detail for one in failed)


async def test_after_a_hundred_wrong_codes_no_code_is_accepted(world: World) -> None:
    """However slowly they come. The owner is told once, and gets in on paper."""
    for number in range(FACTOR_FAILURES_MAX):
        assert await world.prove(world.wrong()) == WRONG, number
        world.clock.advance(FACTOR_ACCOUNT_INTERVAL if number % 10 else DAY)
    assert MailPurpose.FACTOR_LOCKED not in await world.mails()
    world.clock.advance(365 * DAY)
    for _ in range(2):
        world.clock.advance(HOUR)
        assert await world.prove(world.code()) == WRONG
    mails = await world.mails()
    assert mails.count(MailPurpose.FACTOR_LOCKED) == 1
    events = [event for _, event in await world.engine.stores.audit.read(0, 999)]
    assert [one.detail for one in events][-2:] == [{"is_locked": True}] * 2
    # It still answers as fast, and as seldom, as before.
    for _ in range(FACTOR_ACCOUNT_BURST - 1):
        assert await world.prove(world.code()) == WRONG
    assert await world.prove(world.code()) == LATER
    world.clock.advance(HOUR)
    assert await world.prove(world.codes[0], by=Method.RECOVERY_CODE) == OK
    assert await world.prove(world.code()) == OK


async def test_an_operator_ends_the_hundred_too(world: World) -> None:
    for _ in range(FACTOR_FAILURES_MAX):
        assert await world.prove(world.wrong()) == WRONG
        world.clock.advance(FACTOR_ACCOUNT_INTERVAL)
    assert await world.prove(world.code()) == WRONG
    await world.engine.second_factors.factors.reset(world.user, by=OPERATOR)
    await world.enrol()
    assert await world.prove(world.code()) == OK


async def test_the_third_wrong_factor_in_a_row_is_told(world: World) -> None:
    """Once an hour at most; a right one in between begins the row anew."""
    failed = [MailPurpose.FACTOR_FAILED]
    for number, expected in enumerate([[], [], failed, [], []]):
        assert await world.prove(world.wrong(), bound=str(number)) == WRONG
        assert await world.mails() == expected
    world.clock.advance(HOUR)
    assert await world.prove(world.wrong()) == WRONG
    assert await world.mails() == failed
    world.clock.advance(HOUR)
    assert await world.prove(world.code()) == OK
    for _ in range(limits.FACTOR_FAILURES_TOLD - 1):
        assert await world.prove(world.wrong()) == WRONG
    assert await world.mails() == []
    assert await world.prove("", by=Method.RECOVERY_CODE) == WRONG
    assert await world.mails() == failed


async def test_a_refused_try_says_when_to_come_again(world: World) -> None:
    for _ in range(FACTOR_ACCOUNT_BURST):
        assert await world.prove(world.wrong()) == WRONG
    proof = FactorProof(method=Method.TOTP, code=world.code())
    with pytest.raises(Throttled) as refused:
        await world.engine.second_factors.proofs.prove(
            world.user, proof, address=HERE, bound=""
        )
    wait = (refused.value.retry_after - 1) * limits.SECOND
    assert 0 < wait <= FACTOR_ACCOUNT_INTERVAL
    assert world.code() not in repr(proof)
