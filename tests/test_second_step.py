"""The second step of a sign-in: no session before it, and one for a continuation.

password right        --> a continuation, and nothing else exists
+ a second factor     --> the session, at aal2; the continuation is spent
anything that changed --> continuation_expired: begin again
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.doors import (
    EMAIL,
    EVERY_STORE,
    HERE,
    OPTIONS,
    OURS,
    OWN,
    PASSWORD,
    Door,
    door,
    outcome,
    stopped,
    token_of,
)
from watchword.core import limits
from watchword.core.actor import EndReason
from watchword.core.session import AAL2, SessionOptions
from watchword.core.ticket import TicketPurpose
from watchword.errors import (
    InvalidCredentials,
    SecondFactorEnrolmentRequired,
)
from watchword.factors.proof import FactorProof, Method
from watchword.ports.audit import Trail
from watchword.ports.credentials import CredentialKind
from watchword.sign_in.browser import PAGES_BINDING
from watchword.sign_in.continuation import Binding

ACCOUNTS = pytest.mark.parametrize("ada", [{}], indirect=True)
BOTH = pytest.mark.parametrize(
    "ada", [{}, {"own": True}], ids=["account", "own user"], indirect=True
)


@pytest.fixture
async def ada(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Door]:
    """Ada, who has an authenticator app."""
    async with door(tmp_path, **getattr(request, "param", {})) as made:
        await made.has_totp()
        yield made


# The gate.


async def by_password(ada: Door) -> object:
    return await ada.sign_in()


async def by_address(ada: Door) -> object:
    return await ada.engine.sign_in.by_password(EMAIL, PASSWORD, OPTIONS)


async def by_pages(ada: Door) -> object:
    proved = await ada.engine.sign_in.check_password("ada", PASSWORD)
    return await root(ada, proved)


async def by_invitation(ada: Door) -> object:
    """The mailbox and the password together are one factor less than she has."""
    assert ada.engine.self_service is not None
    invitations = ada.engine.self_service.invitations
    await invitations.invite(EMAIL, roles=["editor"])
    proved = await invitations.accept(token_of(await ada.mails()), PASSWORD)
    return await ada.engine.sign_in.begin(proved, OPTIONS, mailbox=True)


async def root(ada: Door, proved: Any, **given: Any) -> Any:
    """The session of the pages in a browser."""
    assert ada.engine.self_service is not None
    return await ada.engine.self_service.browser.begin(
        proved, address=HERE, user_agent="", **given
    )


@pytest.mark.parametrize("way", [by_password, by_address, by_pages, by_invitation])
async def test_no_way_in_begins_a_session_before_the_second_factor(
    ada: Door, way: Callable[[Door], Awaitable[object]]
) -> None:
    """There is nothing but the continuation: no session, not even one that ended."""
    asked = await stopped(way(ada))
    assert not isinstance(asked, SecondFactorEnrolmentRequired)
    assert asked.methods == ("totp", "recovery_code")
    assert asked.expires_in == 300
    assert asked.continuation.startswith("ww_ct_")
    begun = [e for _, e in await ada.stores.audit.read(0, 99) if e.session_id]
    assert begun == []


@BOTH
async def test_password_and_code_are_a_session_at_aal2(ada: Door) -> None:
    """As it was asked for at the beginning; the right password is given back."""
    options = SessionOptions(client_id="first-party", scope=("read",), jkt="key")
    for _ in range(limits.THROTTLE_NAME_BURST):
        await stopped(ada.sign_in(options))
    asked = await stopped(ada.sign_in(options))
    tokens = await ada.finish(asked.continuation, binding=replace(OURS, jkt="key"))
    session = tokens.session
    assert (session.acr, session.amr) == (AAL2, ("pwd", "otp", "mfa"))
    assert (session.scope, session.jkt) == (("read",), "key")
    assert session.auth_time == session.authenticated_at == ada.clock()
    assert session.account_id == ada.id
    assert [one.id for one in await ada.alive()] == [session.id]


async def test_a_factor_that_cannot_be_used_opens_no_door(tmp_path: Path) -> None:
    """Passkeys were turned off under a user that has nothing else."""
    async with door(tmp_path) as ada:
        await ada.has_passkey()
        asked = await stopped(ada.sign_in())
        assert asked.methods == ("passkey", "recovery_code")
        ada.parts.passkeys.party = None
        for row in await ada.stores.credentials.of_account(ada.id):
            if row.kind is CredentialKind.RECOVERY_CODE:
                assert await ada.stores.credentials.swap(row, None, Trail())
        asked = await stopped(ada.sign_in())
        assert not isinstance(asked, SecondFactorEnrolmentRequired)
        assert asked.methods == ()


async def test_a_passkey_and_a_password_are_two_factors(tmp_path: Path) -> None:
    """Its challenge belongs to the continuation, and is signed for it once."""
    async with door(tmp_path) as ada:
        await ada.has_passkey()
        steps, other = ada.parts.second_step, await ada.begun()
        continuation = await ada.begun()
        options = await steps.passkey_options(other, binding=OURS)
        wrong = ada.finish(continuation, ada.by_passkey(options))
        assert await outcome(wrong) == "continuation_expired"
        options = await steps.passkey_options(continuation, binding=OURS)
        proof = ada.by_passkey(options)
        tokens = await ada.finish(continuation, proof)
        assert tokens.session.amr == ("pwd", "swk", "user", "mfa")
        assert await outcome(ada.finish(other, proof)) == "continuation_expired"
        assert len(await ada.alive()) == 1


# Whose a continuation is.


MOBILE = Binding(client_id="app", client_secret=b"s" * 32, jkt="key", browser="cookie")


@ACCOUNTS
@pytest.mark.parametrize(
    "given",
    [
        {"client_id": "other"},
        {"client_secret": b"t" * 32},
        {"client_secret": b""},
        {"jkt": "another"},
        {"jkt": ""},
        {"browser": "another"},
        {"browser": ""},
    ],
    ids=str,
)
async def test_a_continuation_is_its_callers_alone(
    ada: Door, given: dict[str, Any]
) -> None:
    """Another client, secret, DPoP key or browser cannot go on with it."""
    await ada.engine.clients.add("app", confidential=False)
    options = SessionOptions(client_id="app", jkt="key")
    continuation = (await stopped(ada.sign_in(options, binding=MOBILE))).continuation
    proof, thief = ada.by_code(), replace(MOBILE, **given)
    assert await outcome(ada.finish(continuation, proof, thief)) == (
        "continuation_expired"
    )
    look = ada.parts.second_step.passkey_options(continuation, binding=thief)
    assert await outcome(look) == "continuation_expired"
    assert (await ada.finish(continuation, proof, MOBILE)).session.client_id == "app"


async def test_a_cookie_that_was_not_asked_for_is_not_looked_at(ada: Door) -> None:
    """Another tab of the browser may have got one meanwhile."""
    binding = replace(OURS, browser="of another tab")
    assert (await ada.finish(await ada.begun(), binding=binding)).session.acr == AAL2


async def test_a_client_that_was_disabled_meanwhile_gets_nothing(ada: Door) -> None:
    """And the recovery code that it sent is there again."""
    await ada.engine.clients.add("app", confidential=False)
    options, binding = SessionOptions(client_id="app"), Binding(client_id="app")
    continuation = (await stopped(ada.sign_in(options))).continuation
    await ada.engine.clients.disable("app")
    finishes = ada.finish(continuation, ada.by_code(), binding)
    assert await outcome(finishes) == "invalid_client"
    assert await ada.alive() == []
    left = (await ada.parts.factors.of(ada.id)).codes_left
    assert left == limits.RECOVERY_CODES


async def test_a_new_secret_of_a_client_is_another_caller(ada: Door) -> None:
    client, _ = await ada.engine.clients.add("web", confidential=True)
    before = Binding.of_client(client, jkt="key")
    await ada.engine.clients.rotate_secret("web")
    after = Binding.of_client(await ada.engine.clients.get("web"), jkt="key")
    assert before.admits(before)
    assert not before.admits(after)


# What ends one.


async def disabled(ada: Door) -> None:
    await ada.engine.accounts.disable(ada.id)


async def enabled_again(ada: Door) -> None:
    await ada.engine.accounts.disable(ada.id)
    await ada.engine.accounts.enable(ada.id)


async def new_password(ada: Door) -> None:
    await ada.engine.accounts.set_password(ada.id, "another horse battery 42")


async def ended_by_app(ada: Door) -> None:
    assert ada.engine.subjects is not None
    await ada.engine.subjects.end_all(OWN, EndReason.ENDED_BY_APP)


async def time_passes(ada: Door) -> None:
    ada.clock.advance(limits.CONTINUATION_LIFE - limits.TOTP_STEP + 1)


@pytest.mark.parametrize(
    ("ada", "change", "answer"),
    [
        ({}, disabled, "second_factor_invalid"),
        ({}, enabled_again, "continuation_expired"),
        ({}, new_password, "continuation_expired"),
        ({}, time_passes, "continuation_expired"),
        ({"own": True}, ended_by_app, "continuation_expired"),
        ({"own": True}, time_passes, "continuation_expired"),
    ],
    indirect=["ada"],
)
async def test_a_user_that_has_changed_begins_again(
    ada: Door, change: Callable[[Door], Awaitable[None]], answer: str
) -> None:
    """A recovery code that came too late is not spent; a wrong one learns nothing."""
    continuation = await ada.begun()
    await change(ada)
    if change is not time_passes:
        wrong = ada.finish(continuation, ada.wrong())
        assert await outcome(wrong) == "second_factor_invalid"
    code = ada.by_code()
    for proof in (code, ada.by_totp()):
        assert await outcome(ada.finish(continuation, proof)) == answer
    assert await ada.alive() == []
    enrolled = await ada.parts.factors.of(ada.id)
    assert enrolled.codes_left == limits.RECOVERY_CODES


async def test_roles_are_those_of_the_end(ada: Door) -> None:
    """Also in the first access token: a role that was taken away is not in it."""
    await ada.engine.accounts.set_roles(ada.id, ["editor"])
    continuation = await ada.begun()
    await ada.engine.accounts.set_roles(ada.id, ["reader"])
    tokens = await ada.finish(continuation)
    claims = ada.engine.checker.verify(tokens.access_token)
    assert (claims.roles, (await ada.alive())[0].roles) == (("reader",), ("reader",))


@BOTH
async def test_a_wrong_factor_spends_nothing_and_success_spends_all(ada: Door) -> None:
    continuation = await ada.begun()
    for proof in (ada.wrong(), FactorProof(method=Method.TOTP, code="12345")):
        assert await outcome(ada.finish(continuation, proof)) == "second_factor_invalid"
    (session,) = [(await ada.finish(continuation)).session]
    assert await outcome(ada.finish(continuation)) == "continuation_expired"
    assert [one.id for one in await ada.alive()] == [session.id]


@pytest.mark.parametrize("ada", [*EVERY_STORE, {"own": True}], ids=str, indirect=True)
async def test_two_factors_at_once_make_one_session(ada: Door) -> None:
    """The one that came second is taken back."""
    continuation = await ada.begun()
    totp = ada.by_totp()
    proofs = (totp, ada.by_code(), ada.by_code())
    outcomes = await asyncio.gather(
        *(outcome(ada.finish(continuation, proof)) for proof in proofs)
    )
    assert sorted(outcomes) == ["continuation_expired"] * 2 + ["ok"]
    assert len(await ada.alive()) == 1


@pytest.mark.parametrize("purpose", list(TicketPurpose))
async def test_a_ticket_of_another_purpose_is_no_continuation(
    tmp_path: Path, purpose: TicketPurpose
) -> None:
    """Neither to finish a sign-in nor to enrol, whatever stands in it."""
    async with door(tmp_path, second_factor="required") as ada:
        enrol = await ada.begun()
        stated, _ = ada.parts.gate.open(TicketPurpose.ENROL, enrol, OURS)
        await ada.has_totp()
        ticket = ada.parts.gate._tickets.seal(purpose, stated)
        enrolment = ada.parts.enrolment
        finishes = await outcome(ada.finish(ticket))
        enrols = await outcome(enrolment.needs_token(ticket, binding=OURS))
        assert (finishes == "ok") == (purpose is TicketPurpose.LOGIN)
        assert (enrols == "ok") == (purpose is TicketPurpose.ENROL)
        assert {finishes, enrols} <= {"ok", "continuation_expired"}


# Changes between the gate and the session.


async def adds_a_factor(ada: Door) -> None:
    await ada.has_totp()


async def demands_one(ada: Door) -> None:
    await ada.parts.factors.require(ada.id)


async def gives_a_role(ada: Door) -> None:
    await ada.engine.accounts.set_roles(ada.id, ["admin"])


@pytest.mark.parametrize(
    ("own", "change"),
    [
        (False, adds_a_factor),
        (False, demands_one),
        (False, gives_a_role),
        (True, adds_a_factor),
        (True, demands_one),
    ],
)
async def test_a_factor_that_came_with_the_session_takes_it_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Door], Awaitable[None]],
    *,
    own: bool,
) -> None:
    """What adds one ends the sessions that there are: this one was not there yet."""
    async with door(tmp_path, own=own, second_factor="required:admin") as ada:
        create = ada.stores.sessions.create

        async def late(*given: Any, **named: Any) -> Any:
            await change(ada)
            return await create(*given, **named)

        with monkeypatch.context() as patched:
            patched.setattr(ada.stores.sessions, "create", late)
            with pytest.raises(InvalidCredentials):
                await ada.sign_in()
        assert await ada.alive() == []
        assert await outcome(ada.sign_in()) in {
            "second_factor_required",
            "second_factor_enrolment_required",
        }


async def test_a_role_that_demands_a_factor_ends_sessions_without_one(
    tmp_path: Path,
) -> None:
    """Else they would have the role at their next refresh, for as long as they live."""
    async with door(tmp_path, second_factor="required:admin") as ada:
        await ada.sign_in()
        await ada.engine.accounts.set_roles(ada.id, ["editor"])
        assert len(await ada.alive()) == 1
        await gives_a_role(ada)
        assert await ada.alive() == []
        asked = await stopped(ada.sign_in())
        assert isinstance(asked, SecondFactorEnrolmentRequired)


# The pages.


async def test_the_root_of_the_pages_goes_through_the_same_gate(ada: Door) -> None:
    """A browser that has it goes on under a new token, whatever came twice."""
    asked = await stopped(by_pages(ada))
    assert await outcome(ada.finish(asked.continuation)) == "continuation_expired"
    tokens = await ada.finish(asked.continuation, binding=PAGES_BINDING)
    session = tokens.session
    assert (session.client_id, session.acr, tokens.access_token) == ("_pages", AAL2, "")
    cookie = tokens.refresh_token

    proved = await ada.engine.sign_in.check_password("ada", PASSWORD)
    asked = await stopped(root(ada, proved, cookie=cookie))
    again: dict[str, Any] = {"binding": PAGES_BINDING, "replaces": cookie}
    risen = await ada.finish(asked.continuation, **again)
    assert (risen.session.id, risen.session.generation) == (session.id, 1)
    again["replaces"] = risen.refresh_token
    twice = ada.finish(asked.continuation, **again)
    assert await outcome(twice) == "continuation_expired"
    assert [one.id for one in await ada.alive()] == [session.id]

    # By a recovery code too: what the browser has let in must not end by it.
    asked = await stopped(root(ada, proved, cookie=risen.refresh_token))
    code = ada.by_code()
    again["replaces"] = risen.refresh_token
    by_code = await ada.finish(asked.continuation, code, **again)
    assert (by_code.session.id, by_code.session.generation) == (session.id, 2)
    left = (await ada.parts.factors.of(ada.id)).codes_left
    assert left == limits.RECOVERY_CODES - 1
    twice = ada.finish((await stopped(root(ada, proved))).continuation, code, **again)
    assert await outcome(twice) == "second_factor_invalid"
    assert [one.id for one in await ada.alive()] == [session.id]


async def test_a_continuation_of_the_pages_begins_nothing_elsewhere(ada: Door) -> None:
    """And a refresh token of a body's session replaces no cookie's session."""
    browser = SessionOptions(client_id="first-party", cookie=True)
    old = await ada.finish((await stopped(ada.sign_in(browser))).continuation)
    await ada.finish(await ada.begun(), replaces=old.refresh_token)
    assert len(await ada.alive()) == 2
    asked = await stopped(ada.sign_in(browser))
    new = await ada.finish(asked.continuation, replaces=old.refresh_token)
    assert old.session.id not in {one.id for one in await ada.alive()}
    assert new.session.cookie


async def test_what_a_passkey_has_proved_passes_the_gate(ada: Door) -> None:
    """It was two factors at once: there is no second step after it."""
    proved = await ada.engine.sign_in.check_password("ada", PASSWORD)
    by_passkey = replace(proved, acr=AAL2, amr=("hwk", "user", "mfa"))
    tokens = await ada.engine.sign_in.begin(by_passkey, OPTIONS)
    assert (await root(ada, by_passkey)).session.amr == tokens.session.amr


async def test_a_session_too_large_for_a_ticket_is_refused_in_words(ada: Door) -> None:
    """Its scope, audience and roles have their own limits, which are wider together."""
    options = SessionOptions(
        client_id="first-party", scope=("s" * 1024,), audience=("a" * 1024,)
    )
    await ada.engine.accounts.set_roles(
        ada.id, [f"{number:064}" for number in range(limits.ROLES_MAX)]
    )
    assert await outcome(ada.sign_in(options)) == "invalid_request"
