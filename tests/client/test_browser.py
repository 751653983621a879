"""Sign-in by a browser: what counts as an answer, and what becomes of it."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.cli.terminal import Terminal
from tests.client.conftest import Stage
from tests.server.live import Live
from tests.walking import Walker
from watchword.client import Auth
from watchword.client.answers import Answer
from watchword.client.clock import Clocks, Random
from watchword.client.code_flow import new_request
from watchword.client.session import Issuer, Keep, Send, Wait
from watchword.errors import (
    CodeInvalid,
    InsufficientAuthentication,
    InvalidRequest,
    Unreachable,
    WatchwordError,
)
from watchword.testing import SeededEntropy

ISSUER: Final = "https://auth.example"
BACK: Final = "http://127.0.0.1:5000/callback"


def asked() -> Any:
    random = Random(SeededEntropy())
    return new_request(f"{ISSUER}/oauth/authorize", ISSUER, "app", BACK, random)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({}, None),
        ({"state": "another"}, InvalidRequest),
        ({"state": None}, InvalidRequest),
        ({"iss": "https://evil.example"}, InvalidRequest),
        ({"iss": None}, InvalidRequest),
        ({"code": ["one", "two"]}, InvalidRequest),
        ({"code": None, "error": "access_denied"}, WatchwordError),
        ({"code": None}, WatchwordError),
    ],
)
def test_an_answer_counts_that_is_to_this_request_and_of_its_issuer(
    changed: Any, error: type[WatchwordError] | None
) -> None:
    request = asked()
    good = {"code": "the code", "state": request.state, "iss": ISSUER}
    given = {k: v for k, v in (good | changed).items() if v is not None}
    address = f"/callback?{urlencode(given, doseq=True)}"
    if error is None:
        assert request.code_in(address).form["code"] == "the code"
        return
    with pytest.raises(WatchwordError) as raised:
        request.code_in(address)
    assert type(raised.value) is error


def tokens() -> Answer:
    payload = base64.urlsafe_b64encode(b'{"sid": "s"}').decode().rstrip("=")
    body = {
        "access_token": f"h.{payload}.s",
        "token_type": "Bearer",
        "expires_in": 120,
        "refresh_token": "ww_rt_1",
    }
    return Answer(200, {}, json.dumps(body).encode())


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    """A code is good once: another key would end the session that it made."""
    issuer = Issuer(ISSUER, Clocks(lambda: 0, lambda: 0), Random(SeededEntropy()))
    request = asked()
    query = urlencode({"code": "c", "state": request.state, "iss": ISSUER})
    conversation = issuer.begin(request.code_in(f"/callback?{query}"), None, None)
    step, sent = next(conversation), []
    for outcome in (None, Answer(502, {}, b""), tokens()):
        assert isinstance(step, Send)
        sent.append(step.request)
        step = conversation.send(outcome)
        if isinstance(step, Wait):
            step = conversation.send(None)
    assert (
        len(set(map(repr, sent))) == len({(r.body, str(r.headers)) for r in sent}) == 1
    )
    assert isinstance(step, Keep)
    assert step.stored is not None
    assert step.stored.session_id == "s"


def test_a_program_of_its_own_signs_in_and_stays(server: Live, stage: Stage) -> None:
    """With a key, a name as a client, and a page on the web that disturbs."""
    add = "clients", "add", "desk", "--redirect", "http://127.0.0.1/callback"
    Terminal(server.data).run(*add)
    given: Any = {"client_id": "desk", "dpop": True, "clocks": stage.server_clock()}
    auth = stage.auth(server.url, **given)
    walker = Walker(server.url)
    answers: list[int] = []

    def sign_in(address: str) -> None:
        there = walker.walk(address)
        forged = f"{there.partition('?')[0]}?code=mine&state=guessed"
        answers.extend(httpx2.get(one).status_code for one in (forged, there))

    auth.browser.login(
        show=lambda address: threading.Thread(target=sign_in, args=[address]).start(),
        scope=["offline_access"],
    )
    assert walker.shown == ["/sign-in", "/consent"]
    assert answers == [404, 200]
    stage.expire()
    with httpx2.Client(auth=stage.auth(server.url, **given)) as http:
        me = http.get(f"{server.url}/api/auth/me").json()
    assert (me["client_id"], me["scope"]) == ("desk", "offline_access")
    assert "cnf" in me
    auth.logout()
    assert not stage.file.exists()


def test_what_wants_a_newer_proof_sends_the_user_to_the_browser(
    server: Live, stage: Stage
) -> None:
    """RFC 9470, from the challenge of an API to a token that passes."""
    walker = Walker(server.url)

    def go(address: str) -> None:
        def walk() -> None:
            httpx2.get(walker.walk(address))

        threading.Thread(target=walk).start()

    def again(auth: Auth, needed: InsufficientAuthentication) -> None:
        auth.browser.login(
            show=go, acr_values=needed.acr_values, max_age=needed.max_age
        )

    auth = stage.auth(server.url, clocks=stage.server_clock(), on_step_up=again)
    auth.browser.login(show=go)
    server.advance(600)
    with httpx2.Client(auth=auth) as http:
        answer = http.post(f"{server.url}/api/auth/factors/totp")
    assert answer.status_code == 200, answer.text
    assert walker.shown[0] == "/sign-in"
    auth.logout()


async def test_what_does_not_come_of_a_sign_in_is_said(server: Live) -> None:
    """Nobody comes back; a code that is nobody's; a server by another name."""
    auth = Auth(server.url)
    with pytest.raises(Unreachable, match="did not come back"):
        await auth.browser.alogin(show=lambda _: None, seconds=0.01)
    request = await auth.browser.arequest("http://127.0.0.1:1/callback")
    (state,) = parse_qs(urlsplit(request.url).query)["state"]
    query = urlencode({"code": "ww_ac_x", "state": state, "iss": server.url})
    with pytest.raises(CodeInvalid):
        await auth.browser.afinish(request, f"/callback?{query}")
    elsewhere = Auth(f"http://localhost:{server.port}")
    with pytest.raises(InvalidRequest, match=server.url):
        await elsewhere.browser.alogin(show=lambda _: None)
