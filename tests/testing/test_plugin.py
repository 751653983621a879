"""The pytest plugin, as those meet it who test their own app: in a pytest of theirs."""

from __future__ import annotations

from typing import Any, Final

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

{mark}
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


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("asyncio", ["-oasyncio_default_fixture_loop_scope=function"]),
        ("anyio", ["-k", "[asyncio]"]),
    ],
)
def test_login_as_works_in_a_running_loop(
    pytester: pytest.Pytester, mark: str, options: list[str]
) -> None:
    pytester.makepyfile(ASYNCHRONOUS.format(mark=f"@pytest.mark.{mark}"))
    passed(pytester, 1, f"-p{mark}", *options)


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


def test_an_app_with_its_own_users(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OWN_USERS)
    passed(pytester, 4)


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


@pytest.mark.parametrize(
    "values",
    [
        {
            "given": "first_party_scope='orders bills'",
            "sign_ins": [[], ["bills"], ["orders", "bills"]],
            "every": ["orders", "bills"],
            "none_gets": [["admin"], ["orders", "admin"], ["orders bills"]],
        },
        {"given": "", "sign_ins": [[]], "every": [], "none_gets": [["orders"]]},
    ],
    ids=["some", "none"],
)
def test_a_scope_is_one_that_the_app_would_give(
    pytester: pytest.Pytester, values: dict[str, Any]
) -> None:
    """A test does not pass by a scope that no sign-in of the app ever has."""
    pytester.makepyfile(SCOPES.format(**values))
    passed(pytester, len(values["sign_ins"]) + len(values["none_gets"]))


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


@pytest.mark.parametrize(
    ("program", "body"),
    [(FLASK, "data=json.dumps(body)"), (DJANGO, "json.dumps(body)")],
    ids=["flask", "django"],
)
def test_frameworks_without_an_event_loop(
    pytester: pytest.Pytester, program: str, body: str
) -> None:
    """Each test has an engine of its own, and after them the app has its own again."""
    pytester.makepyfile("import json\n" + program + BLOCKING.format(body=body))
    passed(pytester, 3)


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


def test_an_api_without_an_event_loop_that_only_verifies(
    pytester: pytest.Pytester,
) -> None:
    """No issuer is asked, and a logout counts at once."""
    made = 'ResourceServer("https://auth.example", feed=("shop", ""))'
    program = FLASK.replace('Auth("sqlite:///app.db")', made)
    program = program.replace("import Auth", "import ResourceServer")
    pytester.makepyfile(program + VERIFYING)
    passed(pytester, 2)


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
