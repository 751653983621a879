"""Accounts by `watchword.client`, against the real server and its mail."""

from __future__ import annotations

import asyncio
import json
import stat
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any, Final

import httpx2
import pytest

from tests.cli.terminal import Terminal
from tests.client.conftest import SECURE, Stage
from tests.client.middle import LOST, REFRESH, Given
from tests.client.test_auth import PLAIN, by_httpx2
from tests.mail.mailbox import Mailbox
from watchword.client import Auth
from watchword.client.runners import TIMEOUT
from watchword.core.limits import CONFIRM_INTERVAL, SECOND
from watchword.errors import (
    ConfirmationInvalid,
    EmailInvalid,
    InvalidCredentials,
    NameInvalid,
    PasswordRejected,
    SessionRevoked,
    TryAgain,
    Unreachable,
)

PHRASE: Final = "four words make a phrase"
OTHER: Final = "five other words make one"
CHANGE: Final = "/api/auth/password/change"
STEP_UP: Final = "/api/auth/step-up"


class User:
    """One that registers by `auth`; `token` is that of the newest mail."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.email = f"{name}@example.org"
        self._stage = stage
        self._mail = Mailbox(stage.live.data)

    @property
    def token(self) -> str:
        return self._mail.token_to(self.email)

    def signed_up(self, **given: Any) -> Auth:
        # All tests sign up from one network, which confirms one in three minutes.
        self._stage.live.advance(CONFIRM_INTERVAL // SECOND)
        auth = self._stage.auth(**given)
        auth.register(self.email, PHRASE)
        auth.confirm(self.token)
        return auth


def test_registered_in_one_process_and_confirmed_in_another(stage: Stage) -> None:
    """What shows that it is the same person lies beside the session, for one's own."""
    ann = User(stage, "ann")
    stage.auth().register(ann.email, PHRASE, username="Ann.A", locale="de")
    kept = stage.file.with_name("session.json.registration")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text())["handle"].startswith("ww_rg_")
    assert not stage.file.exists()
    first = ann.token
    stage.auth().resend()
    second, auth = ann.token, stage.auth()
    with pytest.raises(ConfirmationInvalid):
        auth.confirm(first)
    auth.confirm(second)
    assert by_httpx2(stage.auth(), stage.secure()) == 200
    with httpx2.Client(auth=auth, verify=PLAIN) as http:
        account = http.get(f"{stage.url}/api/auth/account").json()
    assert (account["email"], account["username"]) == (ann.email, "ann.a")
    assert (account["emailConfirmed"], account["locale"]) == (True, "de")


def test_on_another_device_the_password_is_asked_for(stage: Stage) -> None:
    bob = User(stage, "bob")
    stage.auth().register(bob.email, PHRASE)
    token, elsewhere = bob.token, stage.auth(file=None)
    for wrong in ({}, {"password": OTHER}):
        with pytest.raises(InvalidCredentials):
            elsewhere.confirm(token, **wrong)
    with pytest.raises(InvalidCredentials):
        elsewhere.resend()
    elsewhere.confirm(token, password=PHRASE)
    assert by_httpx2(elsewhere, stage.secure()) == 200


def test_the_calls_of_accounts_await_too(stage: Stage) -> None:
    """Without a file everything is in memory."""
    cleo = User(stage, "cleo")

    async def story() -> None:
        auth = stage.auth(file=None)
        await auth.aregister(cleo.email, PHRASE)
        await auth.aconfirm(await asyncio.to_thread(lambda: cleo.token))
        await auth.achange_password(PHRASE, OTHER)
        await auth.astep_up(OTHER)
        await auth.aforgot(cleo.email)
        token = await asyncio.to_thread(lambda: cleo.token)
        await auth.areset(token, PHRASE)
        with pytest.raises(ConfirmationInvalid):
            await auth.aaccept(token, PHRASE)
        await auth.alogin(cleo.email, PHRASE)
        await auth.atoken()

    asyncio.run(story())


def test_an_invitation_is_accepted_and_signs_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kim = User(stage, "kim")
    monkeypatch.setenv("WATCHWORD_REGISTRATION", "invited")
    Terminal(stage.live.data).run("invite", kim.email, "--role", "clerk")
    auth = stage.auth()
    auth.accept(kim.token, PHRASE, username="kim")
    assert claims_of(auth)["roles"] == ["clerk"]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda auth: auth.register("dora", PHRASE), EmailInvalid),
        (lambda auth: auth.register("dora@example.org", "short"), PasswordRejected),
        (
            lambda auth: auth.register("dora@example.org", PHRASE, username="admin"),
            NameInvalid,
        ),
        (lambda auth: auth.forgot("dora"), EmailInvalid),
        (lambda auth: auth.confirm("ww_cf_", password=PHRASE), ConfirmationInvalid),
        (lambda auth: auth.reset("ww_cf_", PHRASE), ConfirmationInvalid),
        (lambda auth: auth.accept("ww_cf_", PHRASE), ConfirmationInvalid),
    ],
)
def test_what_is_refused_is_raised(
    stage: Stage, call: Callable[[Auth], None], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        call(stage.auth())


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("register", lambda auth: auth.register("eve@example.org", PHRASE)),
        ("password/forgot", lambda auth: auth.forgot("eve@example.org")),
        ("password/reset", lambda auth: auth.reset("ww_cf_", PHRASE)),
    ],
)
def test_the_page_of_a_hotels_network_is_no_answer(
    stage: Stage, path: str, call: Callable[[Auth], None]
) -> None:
    stage.middle.then(f"/api/auth/{path}", Given(200, b"<html>Sign in</html>"))
    with pytest.raises(Unreachable):
        call(stage.auth())


def test_a_reset_ends_every_session_and_begins_none(stage: Stage) -> None:
    finn = User(stage, "finn")
    auth = finn.signed_up()
    stage.auth(file=None).forgot(finn.email)
    stage.auth(file=None).reset(finn.token, OTHER)
    stage.later()
    with pytest.raises(SessionRevoked):
        auth.token()
    auth.login(finn.email, OTHER)


def test_a_change_of_password_rotates_what_is_kept(stage: Stage) -> None:
    """A lost answer is asked for again with the same key, and it is done once."""
    gwen = User(stage, "gwen")
    auth, elsewhere = gwen.signed_up(), stage.auth(file=None)
    elsewhere.login(gwen.email, PHRASE)
    before = auth.token()
    stage.middle.then(CHANGE, LOST, LOST)
    auth.change_password(PHRASE, OTHER)
    asked = [one for one in stage.middle.seen if one.path == CHANGE]
    assert len(asked) == 3
    assert len({(one.key, one.body) for one in asked}) == 1
    assert (stage.generation(), stage.kept()["retry_key"]) == (1, None)
    assert auth.token() == stage.auth().token() != before
    assert by_httpx2(auth, stage.secure()) == 200
    with pytest.raises(SessionRevoked):
        by_httpx2(elsewhere, stage.secure())
    with pytest.raises(InvalidCredentials):
        auth.change_password(PHRASE, "six words that are good enough")
    auth.login(gwen.email, OTHER)


def test_a_session_with_a_key_of_its_own_proves_it_there_too(stage: Stage) -> None:
    jack = User(stage, "jack")
    clocks = stage.server_clock()
    auth = jack.signed_up(issuer=stage.live.url, dpop=True, clocks=clocks)
    auth.change_password(PHRASE, OTHER)
    auth.step_up(OTHER)
    assert stage.generation() == 2
    assert by_httpx2(auth, f"{stage.live.url}{SECURE}") == 200


def test_a_change_follows_a_refresh_whose_answer_was_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change goes with the key of that refresh, and is done all the same."""
    monkeypatch.setattr("watchword.client.runners.time.sleep", lambda _: None)
    hal = User(stage, "hal")
    auth = hal.signed_up()
    stage.later()
    stage.middle.then(REFRESH, *[LOST] * 6)
    with pytest.raises(TryAgain):
        auth.token()
    stage.auth().change_password(PHRASE, OTHER)
    refreshed, changed = stage.middle.seen[-2:]
    assert (refreshed.path, changed.path) == (REFRESH, CHANGE)
    assert refreshed.key == changed.key
    assert stage.generation() == 1
    stage.auth(file=None).login(hal.email, OTHER)


def test_a_step_up_is_a_proof_of_now_for_all_that_share_the_session(
    stage: Stage,
) -> None:
    ida = User(stage, "ida")
    auth = ida.signed_up()
    shared = stage.auth()
    stage.live.advance(600)
    stage.later(600)

    def change_address() -> int:
        with httpx2.Client(auth=shared, verify=PLAIN, timeout=TIMEOUT) as http:
            new = {"email": "ida@example.net"}
            return http.post(f"{stage.url}/api/auth/email/change", json=new).status_code

    assert change_address() == 401
    with pytest.raises(InvalidCredentials):
        auth.step_up(OTHER)
    stage.middle.then(STEP_UP, LOST)
    began = auth_time(shared)
    auth.step_up(PHRASE)
    stage.later()  # the other one looks at the file when its token is over
    assert auth_time(shared) >= began + 600
    assert change_address() == 202


def auth_time(auth: Auth) -> int:
    return int(claims_of(auth)["auth_time"])


def claims_of(auth: Auth) -> Any:
    payload = auth.token().split(".")[1]
    return json.loads(urlsafe_b64decode(payload + "=="))
