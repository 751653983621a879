"""Second factors by `watchword.client`, against the real server and its mail."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

import httpx2
import pyotp
import pytest
import requests

from tests.cli.terminal import Terminal
from tests.client.conftest import SECURE, Stage
from tests.client.middle import LOST, Given
from tests.client.test_accounts import PHRASE, STEP_UP, User, claims_of
from tests.client.test_auth import PLAIN, by_httpx2
from tests.patience import auntil
from watchword.bootstrap import Watchword
from watchword.client import Auth, RequestsAuth
from watchword.errors import (
    ConfirmationInvalid,
    ContinuationExpired,
    InsufficientAuthentication,
    InvalidCredentials,
    InvalidRequest,
    NotFound,
    SecondFactorEnrolmentRequired,
    SecondFactorInvalid,
    SecondFactorRequired,
    WatchwordError,
)

CONFIRM: Final = "/api/auth/factors/totp/confirm"
OTHER: Final = "five other words make one"


class App:
    """The authenticator app of a user, on the server's clock; each code is new."""

    def __init__(self, stage: Stage, secret: str) -> None:
        self._stage = stage
        self._totp = pyotp.TOTP(secret)

    def code(self) -> str:
        self._stage.live.advance(31)
        return self._totp.at(int(self._stage.server_clock().wall()))


def with_app(stage: Stage, user: User, **given: Any) -> tuple[Auth, App, list[str]]:
    """A user that signed up and has an authenticator app, and the recovery codes."""
    auth = user.signed_up(**given)
    pending = auth.factors.add_totp()
    app = App(stage, pending.secret)
    return auth, app, list(auth.factors.confirm_totp(pending.factor, app.code()))


async def demand_of(name: str, watchword: Watchword) -> None:
    account = await watchword.accounts.get(name)
    await watchword.second_factors.factors.require(account.id)


@pytest.mark.parametrize("dpop", [False, True])
def test_a_factor_from_its_enrolment_to_its_removal(
    stage: Stage, *, dpop: bool
) -> None:
    """Nothing is kept of a sign-in before its second step, not even a session."""
    lena = User(stage, f"lena{dpop:d}")
    how: dict[str, Any] = {"clocks": stage.server_clock()}
    if dpop:
        how |= {"issuer": stage.live.url, "dpop": True}
    auth, app, codes = with_app(stage, lena, **how)
    assert len(codes) == 10
    assert claims_of(auth)["acr"] == "aal2"
    found = auth.factors.list()
    assert (found.factors[0].kind, found.recovery_codes_left) == ("totp", 10)
    elsewhere = stage.auth(**how, file=None)
    with pytest.raises(ContinuationExpired):
        elsewhere.continue_login("totp", "123456")
    with pytest.raises(SecondFactorRequired) as stopped:
        elsewhere.login(lena.email, PHRASE)
    assert stopped.value.methods == ("totp", "recovery_code")
    with pytest.raises(WatchwordError):
        elsewhere.token()
    with pytest.raises(InvalidRequest, match="'passkey' needs a browser"):
        elsewhere.continue_login("passkey", "")
    with pytest.raises(SecondFactorInvalid):
        elsewhere.continue_login("recovery_code", "0" * 24)
    elsewhere.continue_login("recovery_code", codes[0])
    assert claims_of(elsewhere)["amr"] == ["pwd", "otp", "mfa"]
    with pytest.raises(ContinuationExpired):
        elsewhere.continue_login("totp", app.code())
    stage.live.advance(400)
    with pytest.raises(InsufficientAuthentication) as refused:
        elsewhere.factors.new_recovery_codes()
    assert refused.value.max_age == 300
    elsewhere.step_up(app.code(), method="totp")
    assert len(elsewhere.factors.new_recovery_codes()) == 10
    (factor,) = elsewhere.factors.list().factors
    assert elsewhere.factors.rename(factor.id, "phone").name == "phone"
    elsewhere.factors.remove(factor.id)
    assert elsewhere.factors.list().factors == ()
    with pytest.raises(NotFound):
        elsewhere.factors.new_recovery_codes()


def test_lost_answers_are_asked_for_again(stage: Stage) -> None:
    """With the kept key and the same code; the recovery codes came once."""
    mia = User(stage, "mia")
    auth = mia.signed_up()
    pending = auth.factors.add_totp()
    app = App(stage, pending.secret)
    stage.middle.then(CONFIRM, LOST, LOST)
    assert auth.factors.confirm_totp(pending.factor, app.code()) == ()
    assert claims_of(auth)["acr"] == "aal2"
    stage.middle.then(STEP_UP, LOST)
    auth.step_up(app.code(), method="totp")
    for path in (CONFIRM, STEP_UP):
        asked = [one for one in stage.middle.seen if one.path == path]
        assert len(asked) > 1
        assert len({(one.key, one.body) for one in asked}) == 1
    assert stage.kept()["retry_key"] is None


def test_the_calls_await_too_and_a_reset_needs_the_factor(stage: Stage) -> None:
    nora = User(stage, "nora")
    _, app, codes = with_app(stage, nora)
    auth = stage.auth(file=None)

    async def story() -> None:
        await auth.aforgot(nora.email)
        token = await asyncio.to_thread(lambda: nora.token)
        with pytest.raises(SecondFactorRequired):
            await auth.areset(token, OTHER)
        with pytest.raises(SecondFactorInvalid):
            await auth.areset(token, OTHER, second=("totp", "000000"))
        await auth.areset(token, OTHER, second=("recovery_code", codes[3]))
        with pytest.raises(SecondFactorRequired):
            await auth.alogin(nora.email, OTHER)
        await auth.acontinue_login("totp", app.code())
        pending = await auth.factors.aadd_totp()
        with pytest.raises(SecondFactorInvalid):
            await auth.factors.aconfirm_totp(pending.factor, "000000")
        assert (await auth.factors.alist()).recovery_codes_left == 9

    asyncio.run(story())


def test_a_factor_that_is_demanded_is_enrolled_at_the_sign_in(stage: Stage) -> None:
    """By the token of the mail, or of an operator: the password alone is not enough."""
    olga = User(stage, "olga")
    olga.signed_up()
    Terminal(stage.live.data).engine(partial(demand_of, olga.email))
    auth = stage.auth(
        file=None, issuer=stage.live.url, dpop=True, clocks=stage.server_clock()
    )
    with pytest.raises(SecondFactorEnrolmentRequired) as stopped:
        auth.login(olga.email, PHRASE)
    assert "totp" in stopped.value.methods
    with pytest.raises(ConfirmationInvalid):
        auth.factors.enrol_totp("ww_cf_")
    auth.factors.ask_enrolment()
    pending = auth.factors.enrol_totp(olga.token)
    assert pending.secret not in repr(pending)
    with pytest.raises(SecondFactorInvalid):
        auth.factors.confirm_enrolment(pending.factor, "000000")
    codes = auth.factors.confirm_enrolment(
        pending.factor, App(stage, pending.secret).code()
    )
    assert len(codes) == 10
    assert claims_of(auth)["acr"] == "aal2"


# An API that wants more


CHALLENGE: Final = (
    'Bearer error="insufficient_user_authentication", error_description="Sign in '
    'again.", acr_values="aal2", max_age="300"'
)
WANTS: Final = Given(401, b"{}", (("WWW-Authenticate", CHALLENGE),))


def test_on_step_up_is_asked_once_for_all_that_wait(stage: Stage) -> None:
    """A request that it makes itself asks for nothing."""
    User(stage, "pia").signed_up()
    asked: list[tuple[str | None, int | None]] = []
    inner: list[int] = []

    async def step_up(auth: Auth, needed: InsufficientAuthentication) -> None:
        asked.append((needed.acr_values, needed.max_age))
        await auntil(all_have_asked)
        stage.middle.then(SECURE, WANTS)
        async with httpx2.AsyncClient(auth=auth, verify=PLAIN) as http:
            inner.append((await http.get(stage.secure())).status_code)
        await auth.astep_up(PHRASE)

    auth = stage.auth(on_step_up=step_up)

    def all_have_asked() -> bool:
        return len([one for one in stage.middle.seen if one.path == SECURE]) == 3

    async def story() -> list[int]:
        async with httpx2.AsyncClient(auth=auth, verify=PLAIN) as http:
            stage.middle.then(SECURE, WANTS, WANTS, WANTS)
            gets = [http.get(stage.secure()) for _ in range(3)]
            return [one.status_code for one in await asyncio.gather(*gets)]

    assert asyncio.run(story()) == [200, 200, 200]
    assert (asked, inner) == ([("aal2", 300)], [401])
    with httpx2.Client(auth=auth, verify=PLAIN) as http:
        stage.middle.then(SECURE, WANTS)
        with pytest.raises(TypeError, match="async"):
            http.get(stage.secure())


@pytest.mark.parametrize("library", ["httpx2", "requests"])
def test_the_refusal_is_the_answer_where_nothing_has_risen(
    stage: Stage, library: str
) -> None:
    """It is asked once a request, and not at all without a function."""
    User(stage, f"rita{library}").signed_up()
    asked: list[Auth] = []
    silent = stage.auth(on_step_up=lambda auth, _: asked.append(auth))
    wrong = stage.auth(on_step_up=lambda auth, _: auth.step_up("another one"))
    right = stage.auth(on_step_up=lambda auth, _: auth.step_up(PHRASE))

    def get(auth: Auth) -> int:
        stage.middle.deeds.pop(SECURE, None)
        stage.middle.then(SECURE, WANTS, WANTS)
        if library == "requests":
            url, proof = stage.secure(), RequestsAuth(auth)
            return requests.get(url, auth=proof, timeout=9).status_code
        return by_httpx2(auth, stage.secure())

    assert (get(stage.auth()), get(silent), get(right)) == (401, 401, 401)
    assert asked == [silent]
    with pytest.raises(InvalidCredentials):
        get(wrong)


def test_a_stream_is_not_sent_twice_after_a_step_up(stage: Stage) -> None:
    User(stage, "sara").signed_up()
    auth = stage.auth(on_step_up=lambda auth, _: auth.step_up(PHRASE))
    with httpx2.Client(auth=auth, verify=PLAIN) as http:
        stage.middle.then("/api/auth/me", WANTS)
        with pytest.raises(InsufficientAuthentication):
            http.post(f"{stage.url}/api/auth/me", content=iter([b"a", b"b"]))
