"""The pytest plugin, as those meet it who test their own app: in a pytest of theirs."""

from __future__ import annotations

from typing import Final

import pytest

from tests.pages import ROOT, files_of

pytest_plugins = ["pytester"]

FILES: Final = files_of(ROOT / "docs/testing.md")


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def page(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the files of docs/testing.md."""
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    return pytester


def passed(pytester: pytest.Pytester, count: int, *options: str) -> None:
    """So many tests pass, in a pytest with the plugins alone that are named."""
    options = ("-Werror", "-pwatchword", "-pno:cacheprovider", *options)
    done = pytester.runpytest_subprocess(*options)
    done.assert_outcomes(passed=count)


def test_the_tests_of_the_page_pass_and_touch_no_file(page: pytest.Pytester) -> None:
    count = sum(text.count("\ndef test_") for text in FILES.values())
    assert count == 6
    passed(page, count)
    assert not [*page.path.glob("**/*.db"), *page.path.glob("**/secret")]


ASYNCHRONOUS: Final = """
import pytest

@pytest.mark.{mark}
async def test_asynchronously(watchword, login_as, frozen_clock):
    account = await watchword.accounts.register("ann", "four words make a phrase")
    ann = login_as("ann", roles=["clerk"], scope=["orders"])
    assert ann.access_token not in repr(ann) and ann.refresh_token not in repr(ann)
    claims = watchword.checker.verify(ann.access_token)
    assert claims.sub == ann.subject and claims.sid == ann.session_id
    assert (claims.roles, claims.scope) == (("clerk",), "orders")
    frozen_clock.advance(45_000)
    fresh = await watchword.sessions.refresh(
        ann.refresh_token, client_id="first-party", retry_key="drawn-for-this-one"
    )
    assert watchword.checker.verify(fresh.access_token).roles == ("clerk",)
"""


OWN_USERS: Final = """
import pytest
from watchword import Subject
from watchword.integrations.starlette import Auth

async def claims(session):
    return {"shop": "north"}

auth = Auth("memory:", authenticate=lambda given: None, claims_hook=claims,
            audience="orders", access_ttl="5m")

@pytest.fixture
def watchword_auth():
    return auth

def test_a_user_of_the_app(watchword, login_as, frozen_clock):
    seven = login_as(Subject(7, roles=("clerk",)))
    frozen_clock.advance(299_000)
    found = watchword.checker.verify(seven.access_token)
    assert found.sub == "00000000-0000-0000-0000-000000000007" == seven.subject
    assert (found.roles, found.aud) == (("clerk",), "orders")
    assert found.extra == {"shop": "north"}
    assert login_as(7, roles=["clerk"]).subject == seven.subject

def test_a_name_is_nobody_there(login_as):
    with pytest.raises(TypeError, match="own users"):
        login_as("ann")

@pytest.mark.parametrize("given", [{"roles": "clerk"}, {"scope": "orders"}])
def test_text_is_no_list(login_as, given):
    with pytest.raises(TypeError, match="lists"):
        login_as(7, **given)
"""
SCOPES: Final = """
import pytest
from watchword.integrations.starlette import Auth

@pytest.fixture
def watchword_auth():
    return Auth("memory:", {given})

@pytest.mark.parametrize("wanted", {sign_ins})
def test_it_is_what_a_sign_in_gets(watchword, login_as, wanted):
    ann = login_as("ann", scope=wanted)
    scope = watchword.checker.verify(ann.access_token).scope
    assert (scope or "").split() == (wanted or {every})

@pytest.mark.parametrize("wanted", {none_gets})
def test_a_sign_in_gets_no_other(login_as, wanted):
    with pytest.raises(ValueError, match="WATCHWORD_FIRST_PARTY_SCOPE"):
        login_as("ann", scope=wanted)
"""
SOME: Final = {
    "given": "first_party_scope='orders bills'",
    "sign_ins": [[], ["bills"], ["orders", "bills"]],
    "every": ["orders", "bills"],
    "none_gets": [["admin"], ["orders", "admin"], ["orders bills"]],
}
NONE: Final = {"given": "", "sign_ins": [[]], "every": [], "none_gets": [["orders"]]}
FLASK: Final = """
import pytest
from flask import Flask
from watchword.integrations.flask import Auth

auth = Auth("sqlite:///app.db")
app = Flask(__name__)
auth.init_app(app)

@app.get("/hello")
@auth.required()
def hello():
    return {"hello": auth.session.sub}

@pytest.fixture
def watchword_auth():
    return auth

@pytest.fixture
def client(watchword):
    return app.test_client()
"""
DJANGO: Final = """
import pytest
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF=__name__,
    WATCHWORD={"database_url": "sqlite:///app.db"},
)
from django.http import JsonResponse
from django.test import Client
from django.urls import include, path
from watchword.integrations.django import auth

@auth.required()
def hello(request):
    return JsonResponse({"hello": auth.session(request).sub})

urlpatterns = [
    path("hello", hello), path("", include("watchword.integrations.django.urls"))
]

@pytest.fixture
def watchword_auth():
    return auth

@pytest.fixture
def client(watchword):
    return Client()
"""
BLOCKING: Final = """
@pytest.mark.parametrize("turn", [1, 2])
def test_a_client(client, login_as, frozen_clock, turn):
    ann = login_as("ann")
    answer = client.get("/hello", headers=ann.headers)
    assert answer.status_code == 200
    frozen_clock.advance(120_000)
    assert client.get("/hello", headers=ann.headers).status_code == 401
    body = {{"refreshToken": ann.refresh_token}}
    kind = "application/json"
    answer = client.post("/api/auth/refresh", {body}, content_type=kind)
    assert answer.status_code == 200
    login_as.log_out(ann)
    answer = client.post("/api/auth/refresh", {body}, content_type=kind)
    assert answer.status_code == 401

def test_the_app_itself_has_nobody():
    assert auth.call(auth.accounts.is_empty)
    auth.close()
"""
VERIFYING: Final = """
@pytest.mark.parametrize("turn", [1, 2])
def test_an_api(client, login_as, frozen_clock, turn):
    ann = login_as("ann")
    assert client.get("/hello", headers=ann.headers).json == {"hello": ann.subject}
    login_as.log_out(ann)
    answer = client.get("/hello", headers=ann.headers)
    assert answer.json["code"] == "token_revoked"
    bob = login_as("bob")
    frozen_clock.advance(120_000)
    answer = client.get("/hello", headers=bob.headers)
    assert answer.json["code"] == "token_expired"
"""


def blocking(program: str, body: str) -> str:
    return "import json\n" + program + BLOCKING.format(body=body)


def only_verifying() -> str:
    made = 'ResourceServer("https://auth.example", feed=("shop", ""))'
    program = FLASK.replace('Auth("sqlite:///app.db")', made)
    return program.replace("import Auth", "import ResourceServer") + VERIFYING


APPS: Final = {
    # In a loop that runs, of either plugin.
    "asyncio": (1, ASYNCHRONOUS.format(mark="asyncio")),
    "anyio": (1, ASYNCHRONOUS.format(mark="anyio")),
    "own_users": (4, OWN_USERS),
    # A test does not pass by a scope that no sign-in of the app ever has.
    "scopes": (6, SCOPES.format(**SOME)),
    "no_scopes": (2, SCOPES.format(**NONE)),
    # Without a loop. Each test has an engine of its own, and after them the app has
    # its own again.
    "flask": (3, blocking(FLASK, "data=json.dumps(body)")),
    "django": (3, blocking(DJANGO, "json.dumps(body)")),
    # An API that only verifies: no issuer is asked, and a logout counts at once.
    "verifying": (2, only_verifying()),
}
BACKEND: Final = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def test_apps_of_every_kind(pytester: pytest.Pytester) -> None:
    """Each with an `Auth` of its own, in one pytest, which names what fails."""
    pytester.makeconftest(BACKEND)
    pytester.makepyfile(**{f"test_{name}": text for name, (_, text) in APPS.items()})
    loop = "-oasyncio_default_fixture_loop_scope=function"
    count = sum(count for count, _ in APPS.values())
    passed(pytester, count, "-pasyncio", "-panyio", loop)


BYSTANDER: Final = """
import sys

def test_nothing_of_watchword_is_loaded():
    ours = {name for name in sys.modules if name.startswith("watchword")}
    assert ours == {"watchword", "watchword.testing", "watchword.testing.plugin",
                    "watchword.testing.fakes"}
    assert not sys.modules.keys() & {"msgspec", "cryptography", "argon2", "joserfc"}
"""
NO_SERVER: Final = """
import sys

def test_the_engine_needs_no_server(login_as):
    login_as("ann", roles=["clerk"])
    assert "watchword.server" not in sys.modules
    assert not sys.modules.keys() & {"starlette", "uvicorn", "click", "apsw"}
"""


def test_a_project_that_does_not_use_it_pays_nothing(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_bystander=BYSTANDER)
    passed(pytester, 1)


def test_the_fixtures_load_no_server(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_server=NO_SERVER)
    passed(pytester, 1)
