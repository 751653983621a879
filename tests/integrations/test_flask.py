"""Flask: the examples as printed, and an engine in a thread of each process."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx2
import pytest
from flask import Flask

from tests.integrations.fakes import ISSUER, FakeIssuer
from tests.integrations.stories import (
    BASE,
    NAME,
    PASSWORD,
    bearer,
    bound_story,
    code_of,
    embedded_story,
    example,
    login,
    resource_story,
)
from tests.pages import ROOT, clean_environment
from watchword import Credentials, Subject
from watchword.integrations.flask import Auth, ResourceServer


@contextmanager
def running(program: ModuleType | SimpleNamespace) -> Iterator[httpx2.Client]:
    transport = httpx2.WSGITransport(app=program.app)
    with (
        closing(program.auth),
        httpx2.Client(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client


def test_the_embedded_example_does_its_job() -> None:
    program = example("flask_embedded")
    with running(program) as client:
        program.auth.register(NAME, PASSWORD)
        embedded_story(client)


def test_the_api_example_only_verifies(elsewhere: FakeIssuer) -> None:
    with running(example("flask_api")) as client:
        resource_story(client, elsewhere)


def test_a_proof_is_for_the_address_of_the_api(elsewhere: FakeIssuer) -> None:
    auth = ResourceServer(ISSUER, address="https://api.example/v1")
    app = Flask("api")
    auth.init_app(app)
    app.add_url_rule("/hello", view_func=lambda: {"hello": auth.session.sub})
    with running(SimpleNamespace(app=app, auth=auth)) as client:
        bound_story(client, elsewhere)


def test_who_was_signed_in_is_forgotten_with_the_request(elsewhere: FakeIssuer) -> None:
    """Also where an app context outlives it, as in jobs, shells and tests."""
    program = example("flask_api")
    with running(program) as client, program.app.app_context():
        access = bearer(elsewhere.mint.token())
        assert client.get("/hello", headers=access).status_code == 200
        assert code_of(client.get("/hello")) == "token_missing"


def test_waiting_for_oneself_is_an_error_and_no_deadlock() -> None:
    """An async check runs in the engine's thread: there, `call` is not the way."""
    auth: Auth

    async def check(given: Credentials) -> Subject | None:
        with pytest.raises(RuntimeError, match="await it there"):
            auth.end_all(7)
        return None

    auth = Auth("memory:", authenticate=check)
    app = Flask("api")
    auth.init_app(app)
    with running(SimpleNamespace(app=app, auth=auth)) as client:
        body = {"username": NAME, "password": PASSWORD}
        answer = client.post(f"{BASE}/login", json=body)
        assert code_of(answer) == "invalid_credentials"


def test_the_log_of_a_start_may_come_back_to_what_starts() -> None:
    """A handler that would have to wait for itself is told so, and nothing hangs."""
    auth = Auth("sqlite:///app.db")
    told = list[str]()

    class Asking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with pytest.raises(RuntimeError) as raised:
                auth.end_all(7)
            told.append(str(raised.value))

    handler = Asking()
    logging.getLogger("watchword").addHandler(handler)
    try:
        with closing(auth):
            assert auth.end_all(7) == 0
    finally:
        logging.getLogger("watchword").removeHandler(handler)
    assert told
    assert all("await it there" in one for one in told)


def test_what_is_closed_is_collected() -> None:
    """With its settings and secrets: no hook of the process keeps an Auth."""
    auth = Auth("memory:")
    with closing(auth):
        auth.register(NAME, PASSWORD)
    unused = ResourceServer(ISSUER)
    gone: list[weakref.ref[Any]] = [
        weakref.ref(auth),
        weakref.ref(auth._authenticator),
        weakref.ref(unused),
    ]
    del auth, unused
    gc.collect()
    assert [one() for one in gone] == [None, None, None]


def test_many_threads_share_one_engine() -> None:
    """It starts once, whoever comes first, and serves them all."""
    program = example("flask_embedded")
    with running(program) as client, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.get("/hello"), range(16)))
        assert {code_of(answer) for answer in answers} == {"token_missing"}
        account = program.auth.register(NAME, PASSWORD)
        access = bearer(login(client)["accessToken"])
        answers = list(
            threads.map(lambda _: client.get("/hello", headers=access), range(64))
        )
        assert {answer.status_code for answer in answers} == {200}
        program.auth.call(program.auth.accounts.disable, account.id)
        assert code_of(client.get("/hello", headers=access)) == "token_revoked"


def test_the_bridge_bounds_what_it_reads() -> None:
    program = example("flask_embedded")
    with running(program) as client:
        answer = client.post(f"{BASE}/login", content=b" " * 40_000)
        assert (answer.status_code, code_of(answer)) == (413, "payload_too_large")
        answer = client.post(f"{BASE}/login", content=b"{}")
        assert (answer.status_code, code_of(answer)) == (415, "unsupported_media_type")
        answer = client.put(f"{BASE}/login", content=b"{}")
        assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
        headers = {"Accept": "text/event-stream"}
        answer = client.get("/.well-known/jwks.json", headers=headers)
        assert answer.json()["keys"]
        program.app.config["MAX_CONTENT_LENGTH"] = 10  # the app's own, if it has one
        answer = client.post(f"{BASE}/login", content=b" " * 11)
        assert (answer.status_code, code_of(answer)) == (413, "payload_too_large")
        twice = {"Authorization": "Bearer a,Bearer b"}  # as servers join two
        answer = client.get("/hello", headers=twice)
        assert (answer.status_code, code_of(answer)) == (400, "invalid_request")


def test_a_browser_gets_its_cookie_over_the_bridge() -> None:
    """Nothing of the answer is lost, and the rule against forgery holds there too."""
    program = example("flask_embedded")
    with running(program) as client:
        program.auth.register(NAME, PASSWORD)
        body = {"username": NAME, "password": PASSWORD, "transport": "cookie"}
        answer = client.post(f"{BASE}/login", json=body)
        assert "refreshToken" not in answer.json()
        kept = answer.headers["set-cookie"].partition(";")[0]
        assert kept.startswith("__Host-watchword=ww_rt_")
        cookie = {"Cookie": kept}
        answer = client.post(f"{BASE}/refresh", headers=cookie)
        assert (answer.status_code, code_of(answer)) == (403, "csrf_rejected")
        cookie["X-Requested-With"] = "fetch"
        answer = client.post(f"{BASE}/logout", headers=cookie)
        assert "Max-Age=0" in answer.headers["set-cookie"]


def test_an_engine_that_cannot_start_says_why_and_starts_when_it_can(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The secret of the database is not here: no request is answered, none is lost."""
    program = example("flask_embedded")
    with running(program) as client:
        assert code_of(client.get("/hello")) == "token_missing"
    (folder / "secret").rename(folder / "put-away")
    with running(program) as client:
        answer = client.get("/hello", headers=bearer("a.b.c"))
        assert (answer.status_code, code_of(answer)) == (500, "internal_error")
        assert "WATCHWORD_SECRET" not in answer.text
        assert "Watchword cannot start: the server secret" in caplog.text
        (folder / "put-away").rename(folder / "secret")
        assert code_of(client.get("/hello", headers=bearer("a.b.c"))) == "token_invalid"


FORKING = """
import os, sys
from flask_embedded import app, auth

auth.register("ann", "four words make a phrase")
body = {"username": "ann", "password": "four words make a phrase"}
tokens = app.test_client().post("/api/auth/login", json=body).json
child = os.fork()
for name in ("first", "second")[: 2 if child else 1]:
    headers = {"Authorization": "Bearer " + tokens["accessToken"]}
    answer = app.test_client().get("/hello", headers=headers)
    assert answer.status_code == 200, answer.text
if not child:
    end = app.test_client().post("/api/auth/logout", json=tokens)
    assert end.status_code == 200, end.text
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
print(app.test_client().post("/api/auth/refresh", json=tokens).json["code"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_process_that_forks_leaves_its_engine_alone(folder: Path) -> None:
    """Both work on, on the same file, and both end by themselves, in order."""
    program = [sys.executable, "-W", "error", "-c", FORKING]
    done = subprocess.run(
        program,
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT / "examples")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "session_revoked\n"), done.stderr
    made, _, rest = done.stderr.partition("\n")
    assert "made a server secret" in made
    assert rest == ""
