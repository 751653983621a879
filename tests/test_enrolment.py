"""The first factor under `required`: a right password alone enrols nothing.

The owner shows the mailbox, or a token that an operator gave; a thief of the password
has neither, on no road.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors import (
    EMAIL,
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
from watchword.core import limits
from watchword.core.session import AAL2, TokenSet
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    SecondFactorEnrolmentRequired,
    WatchwordError,
)
from watchword.ports.audit import EventType
from watchword.sign_in.browser import PAGES_BINDING
from watchword.sign_in.continuation import Binding

OTHER = "bob@b.example"


@pytest.fixture
async def ada(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    """Ada, who has to have a factor and has none."""
    given = getattr(request, "param", {})
    async with door(tmp_path, **{"second_factor": "required", **given}) as made:
        yield made


async def enrol(
    ada: Door, continuation: str, token: str = "", binding: Binding = OURS
) -> tuple[TokenSet, tuple[str, ...]]:
    """An authenticator app, from its secret to the session."""
    parts, address = ada.parts.enrolment, HERE
    pending = await parts.begin_totp(
        continuation, token, binding=binding, address=address
    )
    ada.knows(pending.secret)
    return await parts.confirm_totp(
        continuation, pending.factor, ada.code(), binding=binding, address=address
    )


async def mailed(ada: Door, continuation: str, binding: Binding = OURS) -> str:
    """The token that is mailed to her."""
    await ada.parts.enrolment.ask(continuation, binding=binding, address=HERE)
    return token_of(await ada.mails())


async def coded(ada: Door, _: str) -> str:
    """The token that an operator reads to her."""
    return await ada.parts.factors.enrol_code(ada.id)


@pytest.mark.parametrize(
    ("ada", "road"),
    [({}, mailed), ({}, coded), ({"own": True}, coded)],
    ids=["mail", "operator", "operator, own user"],
    indirect=["ada"],
)
async def test_the_owner_enrols_and_is_in(ada: Door, road: Any) -> None:
    """Ten codes are shown this once; token and continuation are gone."""
    asked = await stopped(ada.sign_in())
    assert isinstance(asked, SecondFactorEnrolmentRequired)
    assert asked.methods == ("passkey", "totp")
    continuation = asked.continuation
    assert await ada.parts.enrolment.needs_token(continuation, binding=OURS)
    token = await road(ada, continuation)
    tokens, codes = await enrol(ada, continuation, token)
    assert (tokens.session.acr, tokens.session.amr) == (AAL2, ("pwd", "otp", "mfa"))
    assert len(codes) == limits.RECOVERY_CODES
    assert [one.id for one in await ada.alive()] == [tokens.session.id]
    assert await outcome(ada.parts.factors.enrolment(ada.id, token)) == (
        "confirmation_invalid"
    )
    assert await outcome(enrol(ada, continuation, token)) != "ok"
    assert len(await ada.alive()) == 1
    # From now on she has a second step.
    await ada.finish(await ada.begun())


async def test_a_passkey_may_be_the_first_factor(ada: Door) -> None:
    parts, continuation = ada.parts.enrolment, await ada.begun()
    token = await mailed(ada, continuation)
    options = await parts.begin_passkey(continuation, token, binding=OURS, address=HERE)
    other = await ada.begun()
    answer = ada.passkey.create(options.public_key)
    named = (options.challenge, answer, "key")
    elsewhere = parts.confirm_passkey(other, *named, binding=OURS, address=HERE)
    assert await outcome(elsewhere) == "continuation_expired"
    tokens, codes = await parts.confirm_passkey(
        continuation, *named, binding=OURS, address=HERE
    )
    assert tokens.session.amr == ("pwd", "swk", "user", "mfa")
    assert len(codes) == limits.RECOVERY_CODES


async def test_the_thief_of_a_password_enrols_nothing(ada: Door) -> None:
    """Whatever he has a token of, or begins elsewhere: the owner is not locked out."""
    bob = await ada.engine.accounts.register("bob", PASSWORD)
    bobs = await ada.parts.factors.enrol_code(bob.id)
    old = await ada.parts.factors.enrol_code(ada.id)
    await ada.parts.factors.enrol_code(ada.id)
    late = await mailed(ada, await ada.begun())
    ada.clock.advance(limits.ENROL_LIFE)
    continuation = await ada.begun()
    reset = ada.engine.self_service
    assert reset is not None
    await reset.recovery.send(ada.id)
    another = token_of(await ada.mails())
    for token in ("", "ww_cf_", bobs, old, late, another, continuation):
        with pytest.raises(ConfirmationInvalid):
            await enrol(ada, continuation, token)
        passkey = ada.parts.enrolment.begin_passkey(
            continuation, token, binding=OURS, address=HERE
        )
        assert await outcome(passkey) in {"confirmation_invalid", "throttled"}
        ada.clock.advance(limits.CONFIRM_INTERVAL)
        continuation = await ada.begun()

    # A secret that a session of the past has begun shows no mailbox either.
    pending = ada.parts.totp.begin(ada.id, NAME)
    ada.knows(pending.secret)
    confirm = ada.parts.enrolment.confirm_totp(
        continuation, pending.factor, ada.code(), binding=OURS, address=HERE
    )
    with pytest.raises(ContinuationExpired):
        await confirm
    thief = Binding(client_id="app")
    ask = ada.parts.enrolment.ask(continuation, binding=thief, address=HERE)
    assert await outcome(ask) == "continuation_expired"
    assert await ada.alive() == []
    assert (await ada.parts.factors.of(ada.id)).factors == ()


async def test_a_thief_that_asks_all_day_takes_no_mail_from_the_owner(
    ada: Door,
) -> None:
    """A few tokens are open at a time, and each of them works."""
    continuation = await ada.begun()
    for _ in range(2 * limits.CONFIRMATIONS_LIVE):
        await ada.parts.enrolment.ask(continuation, binding=OURS, address=HERE)
    mails = await ada.mails()
    assert [mail.to for mail in mails] == [EMAIL] * limits.CONFIRMATIONS_LIVE
    _, codes = await enrol(ada, await ada.begun(), mails[0].token)
    assert codes
    # The others are of no use any more: she has a factor now.
    assert await outcome(ada.parts.factors.enrolment(ada.id, mails[1].token)) != "ok"


@pytest.mark.parametrize("why", ["no address", "disabled", "a new password"])
async def test_nothing_is_mailed_where_there_is_no_owner_to_show_it_to(
    ada: Door, why: str
) -> None:
    """And the caller learns nothing of it."""
    continuation = await ada.begun()
    if why == "disabled":
        await ada.engine.accounts.disable(ada.id)
    elif why == "a new password":
        await ada.engine.accounts.set_password(ada.id, "another horse battery 42")
        await ada.mails()
    else:
        await ada.engine.accounts.register("bob", PASSWORD)
        sign_in = ada.engine.sign_in.by_password("bob", PASSWORD, OPTIONS)
        continuation = (await stopped(sign_in)).continuation
    await ada.parts.enrolment.ask(continuation, binding=OURS, address=HERE)
    assert await ada.mails() == []


@pytest.mark.parametrize("pages", [False, True], ids=["call", "pages"])
@pytest.mark.parametrize("how", ["registration", "invitation"])
async def test_it_follows_at_once_where_the_mailbox_was_just_shown(
    ada: Door, how: str, *, pages: bool
) -> None:
    """Once: a later sign-in needs the mailbox again."""
    service, engine = ada.engine.self_service, ada.engine
    assert service is not None
    if how == "registration":
        handle = await service.registrations.ask(OTHER, PASSWORD)
        token = token_of(await ada.mails())
        proved = await service.registrations.confirm(token, handles=[handle])
    else:
        await service.invitations.invite(OTHER)
        token = token_of(await ada.mails())
        proved = await service.invitations.accept(token, PASSWORD)
    begin: Any = (
        service.browser.begin(proved, mailbox=True, address=HERE, user_agent="")
        if pages
        else engine.sign_in.begin(proved, OPTIONS, mailbox=True)
    )
    binding = PAGES_BINDING if pages else OURS
    continuation = (await stopped(begin)).continuation
    parts = ada.parts.enrolment
    assert not await parts.needs_token(continuation, binding=binding)
    sign_in = engine.sign_in.by_password(OTHER, PASSWORD, OPTIONS)
    later = (await stopped(sign_in)).continuation
    assert await outcome(enrol(ada, later)) == "confirmation_invalid"
    tokens, codes = await enrol(ada, continuation, binding=binding)
    assert (tokens.session.acr, len(codes)) == (AAL2, limits.RECOVERY_CODES)
    assert (tokens.session.client_id == "_pages") == pages
    again = enrol(ada, continuation, binding=binding)
    assert await outcome(again) == "continuation_expired"
    assert len(await ada.alive()) == 1


@pytest.mark.parametrize("ada", [*EVERY_STORE, {"own": True}], ids=str, indirect=True)
async def test_of_two_devices_one_becomes_the_first_factor(ada: Door) -> None:
    """Both continuations and the token were right; the other session is taken back."""
    token = await coded(ada, "")
    parts = ada.parts.enrolment
    confirms = []
    for _ in range(2):
        continuation = await ada.begun()
        pending = await parts.begin_totp(
            continuation, token, binding=OURS, address=HERE
        )
        ada.knows(pending.secret)
        code = ada.code()
        ada.clock.advance(-limits.TOTP_STEP)
        confirms.append((continuation, pending.factor, code))
    ada.clock.advance(limits.TOTP_STEP)
    outcomes = await asyncio.gather(
        *(
            outcome(parts.confirm_totp(*one, binding=OURS, address=HERE))
            for one in confirms
        )
    )
    assert sorted(outcomes) == ["continuation_expired", "ok"]
    assert len((await ada.parts.factors.of(ada.id)).factors) == 1
    assert len(await ada.alive()) == 1


async def test_a_wrong_code_enrols_nothing_and_may_be_typed_again(ada: Door) -> None:
    continuation = await ada.begun()
    parts, token = ada.parts.enrolment, await coded(ada, "")
    pending = await parts.begin_totp(continuation, token, binding=OURS, address=HERE)

    def confirm(code: str) -> Any:
        return parts.confirm_totp(
            continuation, pending.factor, code, binding=OURS, address=HERE
        )

    assert await outcome(confirm("12345")) == "second_factor_invalid"
    ada.knows(pending.secret)
    code = ada.code()
    assert await outcome(confirm(code)) == "ok"
    # The factor is there already, as at a retry; the continuation is not.
    assert await outcome(confirm(code)) == "continuation_expired"
    assert len(await ada.alive()) == 1
    kinds = [event.type for _, event in await ada.stores.audit.read(0, 99)]
    assert kinds.count(EventType.FACTOR_ADDED) == 1


async def test_a_demand_ends_with_the_first_factor(tmp_path: Path) -> None:
    """An operator demands one of this user alone."""
    async with door(tmp_path) as ada:
        tokens = await ada.sign_in()
        await ada.parts.factors.require(ada.id, by=USER)
        row = await ada.engine.sessions.get(tokens.session.id)
        assert row is not None
        assert row.revoked_at is not None
        continuation = await ada.begun()
        with pytest.raises(WatchwordError):
            await ada.finish(continuation, ada.wrong())
        await enrol(ada, continuation, await coded(ada, ""))
