"""Second factors of an app's own users: what the app calls, and what calls the app."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.testclient import TestClient

from tests.integrations.stories import BASE, PASSWORD, bearer, example
from tests.patience import until
from watchword import Credentials, Subject
from watchword.core.access_token import Claims
from watchword.integrations import fastapi, flask

NUMBER: Final = 7
SUBJECT: Final = "00000000-0000-0000-0000-000000000007"


def check(given: Credentials) -> Subject | None:
    return Subject(NUMBER) if given.password == PASSWORD else None


@contextlib.contextmanager
def on_fastapi(**hooks: Any) -> Iterator[tuple[Any, Any, Callable[..., Any]]]:
    auth = fastapi.Auth("memory:", **hooks)
    app = FastAPI(lifespan=auth.lifespan)
    auth.mount(app)
    with TestClient(app) as client:
        assert client.portal is not None
        yield auth, client, client.portal.call


@contextlib.contextmanager
def on_flask(**hooks: Any) -> Iterator[tuple[Any, Any, Callable[..., Any]]]:
    auth = flask.Auth("memory:", **hooks)
    app = Flask(__name__)
    auth.init_app(app)
    transport = httpx2.WSGITransport(app=app)
    with (
        contextlib.closing(auth),
        httpx2.Client(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield auth, client, lambda work, *given: work(*given)


def test_the_example_of_the_page_does_its_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = example("fastapi_second_factors")
    with TestClient(program.app) as http:
        login = {"username": "ann", "password": PASSWORD}
        tokens = http.post(f"{BASE}/login", json=login).json()
        headers = bearer(tokens["accessToken"])
        pending = http.post(f"{BASE}/factors/totp", headers=headers).json()
        body = {
            "factor": pending["factor"],
            "code": pyotp.TOTP(pending["secret"]).now(),
            "refreshToken": tokens["refreshToken"],
        }
        assert http.post(f"{BASE}/factors/totp/confirm", json=body).status_code == 200
        assert http.post("/users/7/lost", headers=headers).status_code == 403
        until(lambda: f"{SUBJECT} about: factor-added" in caplog.text)
    assert program.load(SUBJECT) == Subject(NUMBER)
    assert program.load(SUBJECT.replace("7", "8")) is None


@pytest.mark.parametrize("running", [on_fastapi, on_flask])
def test_a_demanded_factor_is_enrolled_by_a_token_of_the_app(running: Any) -> None:
    """The user is told by the app's hook, which may block."""
    told: list[tuple[str, str]] = []

    def notice(subject: str, kind: str) -> None:
        told.append((subject, kind))

    with running(authenticate=check, on_security_notice=notice) as (auth, http, call):

        def post(path: str, **body: Any) -> Any:
            return http.post(f"{BASE}/{path}", json=body).json()

        login = {"username": "ann", "password": PASSWORD}
        before = post("login", **login)["accessToken"]
        call(auth.require_factor, NUMBER)
        me = http.get(f"{BASE}/me", headers=bearer(before))
        assert me.json()["code"] == "token_revoked"
        stopped = post("login", **login)
        assert stopped["code"] == "second_factor_enrolment_required"
        going = {"continuation": stopped["continuation"]}
        token = call(auth.enrol_code, SUBJECT)
        pending = post("login/enrol/totp", **going, token=token)
        code = pyotp.TOTP(pending["secret"]).now()
        confirm = {"factor": pending["factor"], "code": code}
        tokens = post("login/enrol/totp/confirm", **going, **confirm)
        assert len(tokens["recoveryCodes"]) == 10
        claims: Claims = auth._authenticator.engine.checker.verify(
            tokens["accessToken"]
        )
        assert (claims.sub, claims.acr) == (SUBJECT, "aal2")
        assert call(auth.reset_factors, NUMBER) == 1
        assert post("login", **login)["code"] == "second_factor_enrolment_required"
        until(lambda: len(told) > 1)
    assert {subject for subject, _ in told} == {SUBJECT}
    assert {"factor-added", "factors-reset"} <= {str(kind) for _, kind in told}
