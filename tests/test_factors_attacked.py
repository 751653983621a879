"""What a hostile user or thief tries against second factors, and what stops it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from tests.doors import (
    EMAIL,
    HERE,
    NAME,
    OURS,
    PASSWORD,
    USER,
    Door,
    door,
    outcome,
    presented,
    token_of,
)
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.session import SessionOptions
from watchword.mail.message import MailPurpose
from watchword.ports.credentials import CredentialKind

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


# What a user of an account can make us keep, and send.


async def test_a_user_changes_factors_a_few_times_an_hour(ada: Door) -> None:
    """Each change is an event and a mail, that others' mails would have to wait for."""
    await ada.has_totp()
    await ada.mails()
    factors, n = ada.parts.factors, 0
    (row,) = (await factors.of(ada.id)).factors

    async def rename() -> object:
        nonlocal n
        n += 1
        return await factors.rename(ada.id, row.id, f"phone {n}", by=USER)

    async def renew() -> object:
        return await factors.new_recovery_codes(ada.id, by=USER)

    async def come_and_go() -> None:
        pending = ada.parts.totp.begin(ada.id, NAME)
        ada.knows(pending.secret)
        new, _ = ada.parts.totp.confirmed(ada.id, pending.factor, ada.code())
        await factors.add(ada.id, new, keep_session=b"none", by=USER)
        await factors.remove(ada.id, new.id, by=USER)

    for change in (rename, renew, come_and_go):
        for _ in range(limits.ACCOUNT_CHANGE_BURST):
            await change()
        assert await outcome(change()) == "throttled"
        ada.clock.advance(limits.ACCOUNT_CHANGE_INTERVAL)
        await change()
    told = await ada.mails()
    assert len(told) == 4 * (limits.ACCOUNT_CHANGE_BURST + 1)
    # An operator is not counted.
    assert await factors.reset(ada.id, by=By(Actor.OPERATOR)) == 1


async def test_a_passkey_that_counts_backwards_is_told_once_an_hour(ada: Door) -> None:
    """A program may be an authenticator, and use it as often as it likes."""
    await ada.has_passkey()
    sign_in = ada.parts.passkey_sign_in
    assert sign_in is not None
    await ada.mails()
    for counter in range(9, 0, -1):
        options = await sign_in.options()
        answer = ada.passkey.get(options.public_key, counter=counter)
        await sign_in.authenticate(options.challenge, answer, address=HERE)
    (mail,) = await ada.mails()
    assert mail.purpose is MailPurpose.PASSKEY_COUNTER


async def test_a_challenge_of_a_strangers_invention_makes_no_write(
    ada: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada.has_passkey()
    sign_in = ada.parts.passkey_sign_in
    assert sign_in is not None
    options = await sign_in.options()
    answer = ada.passkey.get(options.public_key)
    monkeypatch.setattr(ada.stores.throttle, "take", None)
    ada.clock.advance(limits.CONTINUATION_LIFE + 1)
    for challenge in ("ww_wc_", options.challenge):
        call = sign_in.authenticate(challenge, answer, address=HERE)
        assert await outcome(call) == "continuation_expired"


# What a reset and another address take away.


@pytest.mark.parametrize("lost", ["credentials.drop", "throttle.give_back"])
async def test_a_reset_that_is_cut_off_leaves_no_session(
    ada: Door, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    await ada.has_totp()
    await ada.finish(await ada.begun())
    port, verb = lost.split(".")

    async def dies(*_: object, **__: object) -> None:
        raise SystemError

    monkeypatch.setattr(getattr(ada.stores, port), verb, dies)
    with pytest.raises(SystemError):
        await ada.parts.factors.reset(ada.id, by=USER)
    assert await ada.alive() == []


async def test_what_was_mailed_to_an_old_address_enrols_nothing(
    tmp_path: Path,
) -> None:
    """An operator may give another one, because the old mailbox is a thief's."""
    async with door(tmp_path, second_factor="required") as ada:
        enrol, service = ada.parts.enrolment, ada.engine.self_service
        assert service is not None
        continuation = await ada.begun()
        await enrol.ask(continuation, binding=OURS, address=HERE)
        token = token_of(await ada.mails())
        new = "ada@b.example"
        await service.email_changes.assign(ada.id, new, confirmed=True, by=USER)
        shown = enrol.begin_totp(continuation, token, binding=OURS, address=HERE)
        assert await outcome(shown) == "confirmation_invalid"
        # One that has not been sent yet goes to neither.
        await enrol.ask(continuation, binding=OURS, address=HERE)
        await service.email_changes.assign(ada.id, EMAIL, confirmed=True, by=USER)
        told = [mail.purpose for mail in await ada.mails()]
        assert MailPurpose.ENROL not in told


# A recovery code is given back where the store was away, and in no other case.


@pytest.mark.parametrize("change", ["reset", "delete", "password"])
async def test_a_code_that_is_gone_with_its_user_does_not_come_back(
    ada: Door, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await ada.has_totp()
    continuation, proof = await ada.begun(), ada.by_code()
    create = ada.stores.sessions.create

    async def changes_then(*given: object) -> object:
        made = await create(*given)
        monkeypatch.setattr(ada.stores.sessions, "create", create)
        if change == "reset":
            await ada.parts.factors.reset(ada.id, by=USER)
        elif change == "delete":
            await ada.engine.accounts.delete(ada.id, by=USER)
        else:
            await ada.engine.accounts.set_password(ada.id, PASSWORD, by=USER)
        return made

    monkeypatch.setattr(ada.stores.sessions, "create", changes_then)
    assert await outcome(ada.finish(continuation, proof)) == "invalid_credentials"
    rows = await ada.stores.credentials.of_account(ada.id)
    codes = [row for row in rows if row.kind is CredentialKind.RECOVERY_CODE]
    left = limits.RECOVERY_CODES - 1 if change == "password" else 0
    assert len(codes) == left


# A cookie that was spent long ago.


async def test_a_proof_in_a_tab_that_is_behind_honours_no_older_cookie(
    ada: Door,
) -> None:
    """R0 -> R1 -> R2, and a tab that still has R1 steps up; a thief has R0."""
    await ada.has_totp()
    sessions = ada.engine.sessions
    held = [await ada.finish(await ada.begun(options=COOKIE))]
    for _ in range(2):
        ada.clock.advance(limits.BROWSER_HOLD_OFF * 2)
        held.append(
            await sessions.refresh(held[-1].refresh_token, **presented(held[-1]))
        )
    stolen, behind, current = (one.refresh_token for one in held)
    ada.clock.advance(limits.BROWSER_GRACE // 2)
    risen = await ada.parts.step_up.by_factor(
        behind, ada.by_code(), **presented(held[-1])
    )
    assert risen.session.auth_time == ada.clock()
    # The other tabs go on, and both get what the first has got.
    for token in (behind, current):
        same = await sessions.refresh(token, **presented(held[-1]))
        assert same.refresh_token == risen.refresh_token
    again = sessions.refresh(stolen, **presented(held[-1]))
    assert await outcome(again) == "refresh_reused"


# A server that dies with the write of a factor leaves no session without one.


@pytest.mark.parametrize("change", ["add", "require"])
async def test_what_dies_with_the_write_leaves_no_weaker_session(
    ada: Door, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    mine, thiefs = await ada.sign_in(), await ada.sign_in()
    pending = ada.parts.totp.begin(ada.id, NAME)
    ada.knows(pending.secret)
    add = ada.stores.credentials.add

    async def dies(*given: object, **named: object) -> None:
        await add(*given, **named)
        raise SystemError

    monkeypatch.setattr(ada.stores.credentials, "add", dies)
    call: Awaitable[object]
    if change == "add":
        shown = mine.refresh_token, pending.factor, ada.code()
        call = ada.parts.step_up.add_totp(*shown, **presented(mine))
    else:
        call = ada.parts.factors.require(ada.id, by=USER)
    with pytest.raises(SystemError):
        await call
    alive = {one.id for one in await ada.alive()}
    assert thiefs.session.id not in alive
    assert (mine.session.id in alive) is (change == "add")


async def test_an_address_that_was_asked_for_before_a_factor_needs_a_session(
    ada: Door,
) -> None:
    """Or the thief of a password would move the mailbox past a factor of since."""
    service = ada.engine.self_service
    assert service is not None
    changes = service.email_changes

    async def asked(email: str) -> str:
        ada.clock.advance(limits.HOUR)
        await changes.ask(ada.id, email, by=USER)
        return token_of(await ada.mails())

    thiefs = await asked("thief@b.example")
    await ada.has_totp()
    call = changes.confirm(thiefs, password=PASSWORD, address=HERE)
    assert await outcome(call) == "confirmation_invalid"
    # She has asked for hers by a session at the level of her factor.
    await changes.confirm(await asked("ada@b.example"), password=PASSWORD, address=HERE)


async def test_a_continuation_that_was_used_gives_no_code_back(ada: Door) -> None:
    """With one code a user could make events and mails as long as it works."""
    await ada.has_totp()
    continuation = await ada.begun()
    await ada.finish(continuation)
    await ada.mails()
    proof = ada.by_code()
    for said in ("continuation_expired", "second_factor_invalid"):
        assert await outcome(ada.finish(continuation, proof)) == said
    (mail,) = await ada.mails()
    assert mail.purpose is MailPurpose.RECOVERY_CODE_USED
