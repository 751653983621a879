"""Reset of an account with a second factor: the mailbox is no way round it.

token + password              --> second_factor_required: nothing is spent
the same + continuation + factor --> the password is new; token and factor are gone
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors import (
    EVERY_STORE,
    HERE,
    NAME,
    OPTIONS,
    OURS,
    PASSWORD,
    USER,
    Door,
    door,
    outcome,
    stopped,
    token_of,
)
from watchword.accounts.recovery import Recovery
from watchword.core import limits
from watchword.factors.proof import FactorProof
from watchword.ports.audit import EventType

NEW = "another horse battery staple 42"


class Lost:
    """Ada, who has lost her password, and how she gets another."""

    def __init__(self, ada: Door) -> None:
        self.ada = ada
        assert ada.engine.self_service is not None
        self.recovery: Recovery = ada.engine.self_service.recovery

    async def token(self) -> str:
        await self.recovery.send(self.ada.id)
        return token_of(await self.ada.mails())

    async def asked(self, token: str) -> str:
        """The continuation of a reset by that token."""
        return (await stopped(self.reset(token))).continuation

    async def reset(
        self,
        token: str,
        continuation: str = "",
        proof: FactorProof | None = None,
        password: str = NEW,
    ) -> None:
        await self.recovery.reset(
            token, password, continuation=continuation, proof=proof, address=HERE
        )

    async def knows(self, password: str) -> bool:
        check = self.ada.engine.sign_in.check_password(NAME, password)
        return await outcome(check) == "ok"


@pytest.fixture
async def lost(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lost]:
    async with door(tmp_path, **getattr(request, "param", {})) as ada:
        await ada.has_totp()
        yield Lost(ada)


@pytest.mark.parametrize("lost", EVERY_STORE[:2], ids=str, indirect=True)
@pytest.mark.parametrize("how", ["totp", "recovery_code"])
async def test_token_and_factor_set_the_password_together(lost: Lost, how: str) -> None:
    """It signs nobody in, and ends every session."""
    ada = lost.ada
    session = await ada.finish(await ada.begun())
    token = await lost.token()
    continuation = await lost.asked(token)
    for proof in (ada.wrong(), ada.wrong()):
        wrong = lost.reset(token, continuation, proof)
        assert await outcome(wrong) == "second_factor_invalid"
    assert await lost.knows(PASSWORD)
    assert [one.id for one in await ada.alive()] == [session.session.id]
    proof = ada.by_totp() if how == "totp" else ada.by_code()
    await lost.reset(token, continuation, proof)
    assert (await lost.knows(PASSWORD), await lost.knows(NEW)) == (False, True)
    assert await ada.alive() == []
    again = lost.reset(token, continuation, ada.by_totp())
    assert await outcome(again) == "confirmation_invalid"
    sign_in = ada.engine.sign_in.by_password(NAME, NEW, OPTIONS)
    assert await ada.finish((await stopped(sign_in)).continuation)
    left = (await ada.parts.factors.of(ada.id)).codes_left
    assert left == limits.RECOVERY_CODES - (how == "recovery_code")
    used = [
        event
        for _, event in await ada.stores.audit.read(0, 99)
        if event.type is EventType.RECOVERY_CODE_USED
    ]
    assert len(used) == (how == "recovery_code")


async def test_a_passkey_is_asked_for_by_the_continuation_of_the_reset(
    lost: Lost,
) -> None:
    ada, token = lost.ada, await lost.token()
    await ada.has_passkey()
    asked = await lost.recovery.second_step(token, address=HERE)
    assert asked is not None
    assert asked.methods == ("passkey", "totp", "recovery_code")
    options = await ada.parts.second_step.passkey_options(
        asked.continuation, binding=OURS
    )
    proof = ada.by_passkey(options)
    await lost.reset(token, asked.continuation, proof)
    assert await lost.knows(NEW)


async def test_in_another_order_nothing_is_spent(lost: Lost) -> None:
    """The right token, continuation and code still work at the end."""
    ada = lost.ada
    token, other = await lost.token(), await lost.token()
    continuation, others = await lost.asked(token), await lost.asked(other)
    login, code = await ada.begun(), ada.by_code()
    expected = {
        "confirmation_invalid": [("", continuation), ("ww_cf_x", continuation)],
        "continuation_expired": [(token, ""), (token, others), (token, login)],
    }
    for answer, tries in expected.items():
        for shown in tries:
            assert await outcome(lost.reset(*shown, code)) == answer, shown
    # The factor first: it is no sign-in's, and no other account's.
    finishes = ada.finish(continuation, code)
    assert await outcome(finishes) == "continuation_expired"
    enrols = ada.parts.enrolment.needs_token(continuation, binding=OURS)
    assert await outcome(enrols) == "continuation_expired"
    rejected = lost.reset(token, continuation, code, "short")
    assert await outcome(rejected) == "password_rejected"
    assert await lost.knows(PASSWORD)
    await lost.reset(token, continuation, code)
    assert await lost.knows(NEW)


@pytest.mark.parametrize("late", ["token", "continuation"])
async def test_what_has_run_out_is_asked_for_again(lost: Lost, late: str) -> None:
    ada, token = lost.ada, await lost.token()
    ada.clock.advance(limits.RESET_LIFE - limits.CONTINUATION_LIFE - 1)
    continuation = await lost.asked(token)
    ada.clock.advance(limits.CONTINUATION_LIFE + 1)
    if late == "token":
        reset = lost.reset(token, continuation, ada.by_code())
        assert await outcome(reset) == "confirmation_invalid"
        return
    token = await lost.token()
    reset = lost.reset(token, continuation, ada.by_code())
    assert await outcome(reset) == "continuation_expired"
    await lost.reset(token, await lost.asked(token), ada.by_totp())


@pytest.mark.parametrize("lost", EVERY_STORE, ids=str, indirect=True)
async def test_resets_that_race_change_the_password_once(lost: Lost) -> None:
    """With one code, with two, and by two tokens: one success, one factor spent."""
    ada = lost.ada
    first, second = await lost.token(), await lost.token()
    code, another = ada.by_code(), ada.by_code()
    one, two = await lost.asked(first), await lost.asked(second)
    outcomes = await asyncio.gather(
        outcome(lost.reset(first, one, code)),
        outcome(lost.reset(first, one, code)),
        outcome(lost.reset(first, one, another)),
        outcome(lost.reset(second, two, code)),
    )
    assert outcomes.count("ok") == 1
    refused = {"confirmation_invalid", "second_factor_invalid"}
    assert set(outcomes) - {"ok"} <= refused
    left = (await ada.parts.factors.of(ada.id)).codes_left
    assert left == limits.RECOVERY_CODES - 1
    changed = [
        event
        for _, event in await ada.stores.audit.read(0, 99)
        if event.type is EventType.PASSWORD_CHANGED
    ]
    assert len(changed) == 1


async def test_a_factor_that_comes_during_a_reset_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account had none when the reset began."""
    async with door(tmp_path) as ada:
        lost = Lost(ada)
        token = await lost.token()
        update = ada.stores.sessions.end

        async def late(*given: Any) -> Any:
            monkeypatch.undo()
            await ada.has_totp()
            return await update(*given)

        monkeypatch.setattr(ada.stores.sessions, "end", late)
        continuation = await lost.asked(token)
        assert await lost.knows(PASSWORD)
        await lost.reset(token, continuation, ada.by_totp())
        assert await lost.knows(NEW)


async def test_a_factor_of_another_account_resets_nothing(lost: Lost) -> None:
    """Nor does one where the account has none."""
    ada = lost.ada
    bob = await ada.engine.accounts.register("bob", PASSWORD)
    service = ada.engine.self_service
    assert service is not None
    await service.email_changes.assign(bob.id, "bob@b.example", confirmed=True, by=USER)
    await service.recovery.send(bob.id)
    (mail,) = [one for one in await ada.mails() if one.token]
    mine = await lost.asked(await lost.token())
    reset = lost.reset(mail.token, mine, ada.by_code())
    assert await outcome(reset) == "continuation_expired"
    await lost.reset(mail.token)
