"""What a fault of the store leaves at the second step: nothing that is half-way.

Each call to the store fails in turn, before its work or after it, or its request is
cancelled there. No session stays that was not answered, and the user gets on with what
she has: a continuation and a recovery code are spent by a success alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doors import (
    HERE,
    NAME,
    OPTIONS,
    OURS,
    PASSWORD,
    USER,
    Door,
    door,
    outcome,
    presented,
    stopped,
    token_of,
)
from tests.store_faults import AFTER, FAULTS, Faults, settled
from watchword.core import limits
from watchword.core.actor import APP, EndReason
from watchword.core.session import Authenticated, TokenSet
from watchword.factors.proof import FactorProof
from watchword.sign_in.browser import PAGES_BINDING

NEW = "another horse battery staple 42"
KEY = "a-key-of-the-client-0001"


@pytest.fixture
async def ada(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    """Ada, who has an authenticator app."""
    async with door(tmp_path, **getattr(request, "param", {})) as made:
        await made.has_totp()
        yield made


@AFTER
@FAULTS
@pytest.mark.parametrize("how", ["totp", "recovery_code"])
@pytest.mark.parametrize(
    "ada", [{}, {"kind": "sqlite"}, {"own": True}], ids=str, indirect=True
)
async def test_a_second_step_that_failed_spends_nothing(
    ada: Door,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    """No session stays, and the same continuation goes on with another factor.

    Where a write was done and its answer was lost, what it wrote may be spent.
    """
    faults = Faults(ada.stores, monkeypatch)
    faults.fault = fault

    def proof() -> FactorProof:
        return ada.by_totp() if how == "totp" else ada.by_code()

    calls = await faults.during(ada.finish(await ada.begun(), proof()))
    await ada.engine.sessions.end_all(ada.id, EndReason.LOGOUT)
    for number, name in enumerate(calls):
        ada.codes = [*await ada.parts.factors.new_recovery_codes(ada.id, by=APP)]
        continuation, shown = await ada.begun(), proof()
        await faults.during(ada.finish(continuation, shown), number, after=after)
        await settled(ada.engine)
        assert await ada.alive() == [], name
        left = (await ada.parts.factors.of(ada.id)).codes_left
        code_is_lost = after and name == "sessions.create" and how == "recovery_code"
        assert left == limits.RECOVERY_CODES - code_is_lost, name
        ticket_is_lost = after and name == "once.use_once"
        reused = how == "recovery_code" and not code_is_lost
        again = await outcome(ada.finish(continuation, shown if reused else proof()))
        assert again == ("continuation_expired" if ticket_is_lost else "ok"), name
        await ada.engine.sessions.end_all(ada.id, EndReason.LOGOUT)


@AFTER
@FAULTS
async def test_a_code_that_did_not_sign_a_browser_in_anew_is_there_again(
    ada: Door,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    """The browser has a session, which goes on or ends: no other one is made."""
    assert ada.engine.self_service is not None
    browser, faults = ada.engine.self_service.browser, Faults(ada.stores, monkeypatch)
    faults.fault = fault

    async def begun(answered: list[TokenSet]) -> Any:
        """A sign-in by a recovery code that is still to come, where there is a root."""
        ada.codes = [*await ada.parts.factors.new_recovery_codes(ada.id, by=APP)]
        proved, cookie = await ada.engine.sign_in.check_password(NAME, PASSWORD), ""
        for proof in (ada.by_totp(), ada.by_code()):
            begins = browser.begin(proved, cookie=cookie, address=HERE, user_agent="")
            finish = ada.finish(
                (await stopped(begins)).continuation,
                proof,
                binding=PAGES_BINDING,
                replaces=cookie,
            )
            if not cookie:
                cookie = (await finish).refresh_token

        async def call() -> None:
            answered.append(await finish)

        return call()

    calls = await faults.during(await begun([]))
    for number, name in enumerate(calls):
        await ada.engine.sessions.end_all(ada.id, EndReason.LOGOUT)
        answered: list[TokenSet] = []
        await faults.during(await begun(answered), number, after=after)
        await settled(ada.engine)
        left = (await ada.parts.factors.of(ada.id)).codes_left
        is_lost = after and name == "credentials.swap"
        assert left == limits.RECOVERY_CODES - bool(answered or is_lost), name
        assert len(await ada.alive()) <= 1, name


@AFTER
@FAULTS
async def test_an_enrolment_that_failed_lets_her_in_by_what_she_has(
    ada: Door,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    """By the same token again; or by the factor, where that was written."""
    faults, parts = Faults(ada.stores, monkeypatch), ada.parts.enrolment
    faults.fault = fault
    await ada.parts.factors.require(ada.id, by=USER)

    async def begun() -> tuple[str, Any]:
        """Her token, and a confirmation that is still to come."""
        await ada.parts.factors.reset(ada.id, by=USER)
        token = await ada.parts.factors.enrol_code(ada.id)
        return token, await confirmation(token)

    async def confirmation(token: str) -> Any:
        continuation = await ada.begun()
        pending = await parts.begin_totp(
            continuation, token, binding=OURS, address=HERE
        )
        ada.knows(pending.secret)
        return parts.confirm_totp(
            continuation, pending.factor, ada.code(), binding=OURS, address=HERE
        )

    calls = await faults.during((await begun())[1])
    for number, name in enumerate(calls):
        token, confirm = await begun()
        await faults.during(confirm, number, after=after)
        await settled(ada.engine)
        assert await ada.alive() == [], name
        if (await ada.parts.factors.of(ada.id)).factors:
            assert name in {"credentials.add", *AFTER_THE_FACTOR}, name
            await ada.finish(await ada.begun())
        else:
            _, codes = await (await confirmation(token))
            assert len(codes) == limits.RECOVERY_CODES


AFTER_THE_FACTOR = {"sessions.load", "sessions.end"}
"""What comes after the factor is there: sessions of a lower level are looked for."""


@AFTER
@FAULTS
@pytest.mark.parametrize("ada", [{}, {"kind": "sqlite"}], ids=str, indirect=True)
async def test_a_reset_that_failed_spends_token_and_code_or_neither(
    ada: Door,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    service = ada.engine.self_service
    assert service is not None
    recovery, faults = service.recovery, Faults(ada.stores, monkeypatch)
    faults.fault = fault

    async def begun() -> Callable[[], Awaitable[None]]:
        """A reset that is still to come, any number of times."""
        ada.clock.advance(4 * limits.CONFIRM_INTERVAL)  # three tries each time
        ada.codes = [*await ada.parts.factors.new_recovery_codes(ada.id, by=APP)]
        await recovery.send(ada.id)
        token, proof = token_of(await ada.mails()), ada.by_code()
        asked = await stopped(recovery.reset(token, NEW))

        def reset() -> Awaitable[None]:
            ticket = asked.continuation
            return recovery.reset(token, NEW, continuation=ticket, proof=proof)

        return reset

    calls = await faults.during((await begun())())
    for number, name in enumerate(calls):
        await ada.engine.accounts.set_password(ada.id, PASSWORD)
        reset = await begun()
        await faults.during(reset(), number, after=after)
        await settled(ada.engine)
        check = ada.engine.sign_in.check_password(NAME, NEW)
        is_done = await outcome(check) == "ok"
        left = (await ada.parts.factors.of(ada.id)).codes_left
        assert left == limits.RECOVERY_CODES - is_done, name
        again = await outcome(reset())
        assert again == ("confirmation_invalid" if is_done else "ok"), name


@AFTER
@FAULTS
@pytest.mark.parametrize("ada", [{}, {"own": True}], ids=str, indirect=True)
async def test_a_step_up_that_failed_leaves_the_token(
    ada: Door,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], BaseException],
    *,
    after: bool,
) -> None:
    """The code is gone where it was spent for a rotation that did not follow."""
    faults = Faults(ada.stores, monkeypatch)
    faults.fault = fault

    async def begun() -> Any:
        ada.codes = [*await ada.parts.factors.new_recovery_codes(ada.id, by=APP)]
        proved = Authenticated.by_password(ada.id, at=ada.clock())
        return await ada.engine.sessions.start(proved, OPTIONS)

    def step_up(tokens: Any) -> Any:
        return ada.parts.step_up.by_factor(
            tokens.refresh_token, ada.by_code(), **presented(tokens, retry_key=KEY)
        )

    calls = await faults.during(step_up(await begun()))
    spent = calls.index("credentials.swap") + (not after)
    for number, name in enumerate(calls):
        tokens = await begun()
        await faults.during(step_up(tokens), number, after=after)
        await settled(ada.engine)
        left = (await ada.parts.factors.of(ada.id)).codes_left
        assert left >= limits.RECOVERY_CODES - (number >= spent), name
        risen = await step_up(tokens)
        assert (risen.session.acr, risen.session.generation) == ("aal2", 1), name
        await ada.engine.sessions.end_all(ada.id, EndReason.LOGOUT)
