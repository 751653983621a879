"""Step-up by a second factor, a factor more, and a password under a factor.

 0 min   sign-in, aal2                                auth_time 0
10 min   a factor again, R0 --> R1                    auth_time 10
         (the answer is lost; the retry with its key gets R1, whatever it shows)
20 min   the password alone, R1 --> R2                acr and auth_time stay
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors import (
    HERE,
    NAME,
    OPTIONS,
    PASSWORD,
    Door,
    door,
    outcome,
    presented,
    stopped,
)
from watchword import Subject
from watchword.core import limits
from watchword.core.session import AAL1, AAL2, Authenticated, SessionOptions, TokenSet
from watchword.errors import InsufficientAuthentication
from watchword.factors.proof import FactorProof
from watchword.ports.audit import EventType
from watchword.sign_in.browser import PAGES_BINDING

NEW = "another horse battery staple 42"
KEY = "a-key-of-the-client-0001"
COOKIE = SessionOptions(client_id="first-party", cookie=True)
OWN = {"own": True}


@pytest.fixture
async def ada(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    """Ada, with an authenticator app and a passkey."""
    async with door(tmp_path, **getattr(request, "param", {})) as made:
        await made.has_totp()
        await made.has_passkey()
        yield made


async def weak(ada: Door, options: SessionOptions = OPTIONS) -> TokenSet:
    """A session of before her factors: with a password alone."""
    proved = Authenticated.by_password(ada.id, at=ada.clock())
    return await ada.engine.sessions.start(proved, options)


async def row(ada: Door, tokens: TokenSet) -> Any:
    return await ada.engine.sessions.get(tokens.session.id)


async def proof_by(ada: Door, how: str, tokens: TokenSet) -> FactorProof:
    if how == "passkey":
        options = await ada.parts.step_up.passkey_options(tokens.session)
        return ada.by_passkey(options)
    return ada.by_totp() if how == "totp" else ada.by_code()


async def step_up(
    ada: Door, tokens: TokenSet, proof: FactorProof, **given: Any
) -> TokenSet:
    return await ada.parts.step_up.by_factor(
        tokens.refresh_token, proof, **presented(tokens, **given)
    )


AMR = {
    "totp": ("pwd", "otp", "mfa"),
    "recovery_code": ("pwd", "otp", "mfa"),
    "passkey": ("pwd", "swk", "user", "mfa"),
}


@pytest.mark.parametrize("how", list(AMR))
@pytest.mark.parametrize(
    ("ada", "options"),
    [({}, OPTIONS), ({}, COOKIE), ({"kind": "sqlite"}, OPTIONS), (OWN, OPTIONS)],
    ids=["body", "cookie", "sqlite", "own user"],
    indirect=["ada"],
)
async def test_each_factor_raises_the_session_and_no_other(
    ada: Door, how: str, options: SessionOptions
) -> None:
    """Right after a rotation too; the retry with its key asks no proof."""
    other, mine = await weak(ada), await weak(ada, options)
    proof = await proof_by(ada, how, mine)
    risen = await step_up(ada, mine, proof, retry_key=KEY)
    session = risen.session
    assert (session.acr, session.amr) == (AAL2, AMR[how])
    assert (session.auth_time, session.generation) == (ada.clock(), 1)
    again = await step_up(ada, mine, ada.wrong(), retry_key=KEY)
    assert again.refresh_token == risen.refresh_token
    assert (await row(ada, other)).acr == AAL1
    steps = [e for _, e in await ada.stores.audit.read(0, 99) if e.type == "step_up"]
    assert len(steps) <= 1
    ada.clock.advance(limits.MINUTE)
    after = await step_up(ada, risen, ada.by_totp())
    assert after.session.auth_time == ada.clock()


async def test_a_wrong_factor_spends_nothing(ada: Door) -> None:
    """Nor does one that is for another session, or that was used before."""
    mine, other = await weak(ada), await weak(ada)
    for_other = await proof_by(ada, "passkey", other)
    used = ada.by_code()
    await step_up(ada, other, used)
    tries = [
        (ada.wrong(), "second_factor_invalid"),
        (used, "second_factor_invalid"),
        (for_other, "continuation_expired"),
    ]
    for proof, answer in tries:
        assert await outcome(step_up(ada, mine, proof)) == answer
    assert await row(ada, mine) == mine.session
    assert (await step_up(ada, mine, ada.by_code())).session.generation == 1


async def test_a_token_that_is_not_honoured_learns_nothing_of_a_factor(
    ada: Door,
) -> None:
    """It is judged first: of another client, of the pages, and one that was spent."""
    await ada.engine.clients.add("app", confidential=False)
    of_app = await weak(ada, SessionOptions(client_id="app"))
    asked = presented(of_app, client_id="first-party")
    for given in (presented(of_app), asked):
        tried = ada.parts.step_up.by_factor(
            of_app.refresh_token, ada.by_code(), **given
        )
        assert await outcome(tried) == "refresh_invalid"
    mine = await weak(ada)
    ada.clock.advance(limits.MINUTE)
    await step_up(ada, await step_up(ada, mine, ada.by_totp()), ada.by_totp())
    assert await outcome(step_up(ada, mine, ada.by_totp())) == "refresh_reused"
    assert (await row(ada, mine)).revoked_reason == "reuse"


@pytest.mark.parametrize("ada", [{}, OWN], ids=["account", "own user"], indirect=True)
async def test_a_password_in_a_session_at_aal2_raises_nothing(ada: Door) -> None:
    """It proves less. An app's own user is checked by the app, and has to be theirs."""
    mine = await ada.finish(await ada.begun())
    ada.clock.advance(10 * limits.MINUTE)
    name = NAME if ada.engine.subjects else ""
    by_password = ada.parts.step_up.by_password
    shown = (mine.refresh_token, "not the password")
    wrong = by_password(*shown, username=name, **presented(mine))
    assert await outcome(wrong) == "invalid_credentials"
    tokens = await by_password(
        mine.refresh_token, PASSWORD, username=name, **presented(mine)
    )
    session = tokens.session
    assert (session.acr, session.amr) == (AAL2, AMR["totp"])
    assert (session.auth_time, session.generation) == (mine.session.auth_time, 1)


@pytest.mark.parametrize("ada", [OWN], indirect=True)
async def test_another_user_of_the_app_raises_no_session_of_hers(
    ada: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = await weak(ada)

    async def as_bob(_: object) -> Subject:
        return Subject(8)

    monkeypatch.setattr(ada, "check", as_bob)
    tried = ada.parts.step_up.by_password(
        mine.refresh_token, PASSWORD, username="bob", **presented(mine)
    )
    assert await outcome(tried) == "invalid_credentials"
    assert await row(ada, mine) == mine.session


# A factor more.


async def test_a_first_factor_raises_its_session_and_ends_the_weaker(
    tmp_path: Path,
) -> None:
    """A retry answers the same tokens, and never again the recovery codes."""
    async with door(tmp_path) as ada:
        mine, other = await ada.sign_in(), await ada.sign_in()
        pending = ada.parts.totp.begin(ada.id, NAME)
        ada.knows(pending.secret)
        add, how = ada.parts.step_up.add_totp, presented(mine, retry_key=KEY)
        wrong = add(mine.refresh_token, pending.factor, "12345", **how)
        assert await outcome(wrong) == "second_factor_invalid"
        code = ada.code()
        tokens, codes = await add(mine.refresh_token, pending.factor, code, **how)
        assert (tokens.session.acr, tokens.session.generation) == (AAL2, 1)
        assert len(codes) == limits.RECOVERY_CODES
        assert [one.id for one in await ada.alive()] == [mine.session.id]
        assert (await row(ada, other)).revoked_at is not None
        again = await add(mine.refresh_token, pending.factor, code, **how)
        assert (again[0].refresh_token, again[1]) == (tokens.refresh_token, ())

        passkeys, next_ = ada.parts.step_up, presented(tokens, retry_key=KEY + "2")
        options = await passkeys.passkey_enrol_options(tokens.session, NAME)
        answer = (options.challenge, ada.passkey.create(options.public_key), "key")
        token = tokens.refresh_token
        risen, factor, codes = await passkeys.add_passkey(token, *answer, **next_)
        assert (risen.session.generation, factor.label, codes) == (2, "key", ())
        retried = await passkeys.add_passkey(token, *answer, **next_)
        assert retried[1:] == (factor, ())
        assert retried[0].refresh_token == risen.refresh_token
        enrolled = await ada.parts.factors.of(ada.id)
        assert len(enrolled.factors) == 2


@pytest.mark.parametrize("why", ["old", "weak"])
async def test_a_factor_needs_a_proof_of_just_now_at_the_highest_level(
    ada: Door, why: str
) -> None:
    """Else an open browser, or a session of the password, would let a thief stay."""
    mine = await (weak(ada) if why == "weak" else ada.finish(await ada.begun()))
    if why == "old":
        ada.clock.advance(limits.RECENT + 1)
    pending = ada.parts.totp.begin(ada.id, NAME)
    ada.knows(pending.secret)
    ada.clock.advance(-limits.TOTP_STEP)
    with pytest.raises(InsufficientAuthentication) as raised:
        await ada.parts.step_up.add_totp(
            mine.refresh_token, pending.factor, ada.code(), **presented(mine)
        )
    assert (raised.value.acr_values, raised.value.max_age) == (AAL2, 300)
    assert len((await ada.parts.factors.of(ada.id)).factors) == 2


async def test_an_addition_that_was_cut_off_is_finished_by_its_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server died before the session rotated: it is below her new level."""
    async with door(tmp_path) as ada:
        mine = await ada.sign_in()
        pending = ada.parts.totp.begin(ada.id, NAME)
        ada.knows(pending.secret)
        shown = (mine.refresh_token, pending.factor, ada.code())

        async def dies(*_: object, **__: object) -> None:
            raise SystemError

        with monkeypatch.context() as dying:
            dying.setattr(ada.engine.sessions, "refresh", dies)
            with pytest.raises(SystemError):
                await ada.parts.step_up.add_totp(*shown, **presented(mine))
        tokens, codes = await ada.parts.step_up.add_totp(*shown, **presented(mine))
        assert (tokens.session.acr, codes) == (AAL2, ())


# A password under a factor.


async def test_a_password_is_changed_at_the_highest_level_alone(ada: Door) -> None:
    """Or else the thief of a password and of an old session would lock her out."""
    mine, strong = await weak(ada), await ada.finish(await ada.begun())
    change = ada.parts.step_up.change_password
    for keep in (True, False):
        tried = change(
            mine.refresh_token, PASSWORD, NEW, keep_session=keep, **presented(mine)
        )
        assert await outcome(tried) == "insufficient_user_authentication"
    events = [event.type for _, event in await ada.stores.audit.read(0, 99)]
    assert EventType.SIGN_IN_FAILED not in events
    tokens = await change(
        strong.refresh_token, PASSWORD, NEW, keep_session=True, **presented(strong)
    )
    assert tokens is not None
    assert tokens.session.acr == AAL2
    assert [one.id for one in await ada.alive()] == [strong.session.id]


async def test_the_pages_keep_their_level_under_a_new_password(ada: Door) -> None:
    """And step up by a factor; a session of theirs below it changes nothing."""
    service, parts = ada.engine.self_service, ada.parts.step_up
    assert service is not None
    browser: Any = {"address": HERE, "user_agent": ""}
    proved = await ada.engine.sign_in.check_password(NAME, PASSWORD)
    asked = await stopped(service.browser.begin(proved, **browser))
    root = await ada.finish(asked.continuation, binding=PAGES_BINDING)
    ada.clock.advance(10 * limits.MINUTE)
    changed = await parts.replace_password(
        ada.id, PASSWORD, NEW, keep_session=root.session.id, address=HERE
    )
    cookie: Any = {"cookie": root.refresh_token, **browser}
    after = await service.browser.begin(changed, **cookie)
    assert after.session.id == root.session.id
    level = (after.session.acr, after.session.auth_time)
    assert level == (AAL2, root.session.auth_time)

    stepped = await parts.check_factor(after.session, ada.by_code(), address=HERE)
    cookie["cookie"] = after.refresh_token
    risen = await service.browser.begin(stepped, **cookie)
    assert risen.session.auth_time == ada.clock()
    assert len(await ada.alive()) == 1

    below = await weak(ada, SessionOptions(client_id="_pages", cookie=True))
    tried = parts.replace_password(
        ada.id, NEW, PASSWORD, keep_session=below.session.id, address=HERE
    )
    assert await outcome(tried) == "insufficient_user_authentication"


async def test_the_pages_add_a_factor_to_a_session_of_theirs(tmp_path: Path) -> None:
    async with door(tmp_path) as ada:
        service, parts = ada.engine.self_service, ada.parts.step_up
        assert service is not None
        browser: Any = {"address": HERE, "user_agent": ""}
        proved = await ada.engine.sign_in.check_password(NAME, PASSWORD)
        root = await service.browser.begin(proved, **browser)
        pending = ada.parts.totp.begin(ada.id, NAME)
        ada.knows(pending.secret)
        shown = (root.session, pending.factor, ada.code())
        proved, codes = await parts.confirm_totp(*shown, address=HERE)
        cookie: Any = {"cookie": root.refresh_token, **browser}
        risen = await service.browser.begin(proved, **cookie)
        assert (risen.session.id, risen.session.acr) == (root.session.id, AAL2)
        assert len(codes) == limits.RECOVERY_CODES

        options = await parts.passkey_enrol_options(risen.session, NAME)
        answer = (options.challenge, ada.passkey.create(options.public_key), "key")
        proved, codes = await parts.confirm_passkey(
            risen.session, *answer, address=HERE
        )
        assert (proved.acr, codes) == (AAL2, ())
