"""What a hostile user or thief tries against second factors, and what stops it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors import (
    EMAIL,
    HERE,
    NAME,
    OURS,
    USER,
    Door,
    door,
    outcome,
    presented,
    stopped,
    token_of,
)
from watchword.core import limits
from watchword.core.actor import APP, By, EndReason
from watchword.core.session import AAL2, SessionOptions
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType

COOKIE = SessionOptions(client_id="first-party", cookie=True)


@pytest.fixture(params=[{}, {"kind": "sqlite"}], ids=str)
async def ada(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    """Ada, who has no factor yet."""
    async with door(tmp_path, **request.param) as made:
        yield made


# A code that confirms an app is a code as any: it raises one session, once.


async def test_a_confirmation_that_comes_again_proves_nothing(ada: Door) -> None:
    mine = await ada.sign_in()
    pending = ada.parts.totp.begin(ada.id, NAME)
    ada.knows(pending.secret)
    step_up, code = ada.parts.step_up, ada.code()
    mine, _ = await step_up.add_totp(
        mine.refresh_token, pending.factor, code, **presented(mine)
    )
    used = ada.by_totp()
    await ada.finish(await ada.begun(), used)
    for replayed in (code, used.code):
        again = step_up.add_totp(
            mine.refresh_token, pending.factor, replayed, **presented(mine)
        )
        assert await outcome(again) == "second_factor_invalid"


async def test_a_registration_that_comes_again_proves_nothing(ada: Door) -> None:
    """No authenticator has signed the second one."""
    mine = await ada.sign_in()
    step_up = ada.parts.step_up
    options = await step_up.passkey_enrol_options(mine.session, NAME)
    answer = options.challenge, ada.passkey.create(options.public_key), "key"
    mine, *_ = await step_up.add_passkey(mine.refresh_token, *answer, **presented(mine))
    ada.clock.advance(limits.MINUTE)
    again = step_up.add_passkey(mine.refresh_token, *answer, **presented(mine))
    assert await outcome(again) == "second_factor_invalid"


async def test_a_first_factor_that_is_there_lets_no_other_continuation_in(
    tmp_path: Path,
) -> None:
    async with door(tmp_path, second_factor="required") as ada:
        hers, thiefs = await ada.begun(), await ada.begun()
        enrol = ada.parts.enrolment
        await enrol.ask(hers, binding=OURS, address=HERE)
        token = token_of(await ada.mails())
        pending = await enrol.begin_totp(hers, token, binding=OURS, address=HERE)
        ada.knows(pending.secret)
        shown = pending.factor, ada.code()
        await enrol.confirm_totp(hers, *shown, binding=OURS)
        again = enrol.confirm_totp(thiefs, *shown, binding=OURS)
        assert await outcome(again) == "continuation_expired"
        assert len(await ada.alive()) == 1
