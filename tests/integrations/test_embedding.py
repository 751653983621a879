"""Watchword inside an app, whatever the framework: settings, secrets, who may call."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
import time
import uuid
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from tests.integrations.stories import (
    BASE,
    NAME,
    PASSWORD,
    bearer,
    code_of,
    example,
    login,
)
from tests.pages import clean_environment
from tests.verify.proving import Prover, ath_of
from watchword import Credentials, RegistrationRequest, Subject, verify
from watchword.core.actor import Actor, By
from watchword.core.session import Session
from watchword.errors import RegistrationRefused, SettingsError
from watchword.integrations.fastapi import Auth, ResourceServer
from watchword.ports.outbox import Lane

SECRET: Final = "a-secret-of-these-tests-0123456789-abcdef"
PUBLIC: Final[dict[str, Any]] = {"issuer": "https://shop.example", "secret": SECRET}


def app_of(auth: Auth) -> FastAPI:
    app = FastAPI(lifespan=auth.lifespan)
    auth.mount(app)

    async def hello(session: Any = Depends(auth.session)) -> dict[str, str]:  # noqa: B008
        return {"hello": session.sub}

    app.add_api_route("/hello", hello)
    return app


def call(client: TestClient, work: Any, *given: Any) -> Any:
    assert client.portal is not None
    return client.portal.call(work, *given)


# Settings


def test_what_the_app_gives_wins_and_files_lie_beside_the_database(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHWORD_ACCESS_TTL", "5m")
    monkeypatch.setenv("WATCHWORD_AUDIENCE", "shop")
    (folder / "state").mkdir()
    auth = Auth("sqlite:///state/app.db", access_ttl="1m")
    with TestClient(app_of(auth)) as client:
        call(client, auth.register, NAME, PASSWORD)
        tokens = login(client)
        assert tokens["expiresIn"] == 60
        me = client.get(f"{BASE}/me", headers=bearer(tokens["accessToken"])).json()
        assert me["aud"] == "shop"
    secret = folder / "state/secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [folder / "state"]


def test_no_account_is_made_unasked() -> None:
    auth = Auth("memory:", admin_password="correct-horse-battery")
    with TestClient(app_of(auth)) as client:
        assert call(client, auth.accounts.is_empty)


def test_an_app_with_a_mail_template_that_is_wrong_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "mail" / "en").mkdir(parents=True)
    (tmp_path / "mail" / "en" / "reset.txt").write_text("no subject")
    with pytest.raises(SettingsError, match=r"mail template reset\.txt"):
        Auth("memory:", templates=str(tmp_path))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"access_ttl": "soon"}, "access_ttl must be a duration"),
        ({"acess_ttl": "2m"}, "did you mean access_ttl?"),
        ({"issuer": "https://shop.example"}, "WATCHWORD_SECRET"),
        ({"behind_proxy": "10.0.0.1"}, "WATCHWORD_ISSUER"),
        ({"database_url": "postgresql://db/shop"}, "WATCHWORD_ISSUER"),
        ({"session_store_url": "redis://cache"}, "WATCHWORD_ISSUER"),
    ],
)
def test_an_app_does_not_guess_and_does_not_start_half(
    given: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        Auth(**{"database_url": "memory:"} | given)
    assert named in str(raised.value)


def test_a_duration_may_be_a_timedelta() -> None:
    """Each of them, in whole seconds."""
    given: dict[str, Any] = {
        "access_ttl": timedelta(minutes=1),
        "refresh_idle": timedelta(days=2),
        "refresh_absolute": timedelta(days=3),
        "rotation_grace": timedelta(0),
        "retry_window": timedelta(hours=1),
    }
    settings = Auth("memory:", **given)._authenticator.settings
    for name, duration in given.items():
        assert getattr(settings, name) == duration.total_seconds()
    for wrong in (timedelta(seconds=1.5), timedelta(seconds=-60), timedelta(days=1)):
        with pytest.raises(SettingsError, match="access_ttl must be a duration"):
            Auth("memory:", access_ttl=wrong)


# Who may call


def test_plain_http_and_development_are_for_this_machine_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No token crosses a network in clear, nor names an issuer that is not there."""
    body = {"username": NAME, "password": PASSWORD}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({}, "http://127.0.0.1", "https_required"),
        (PUBLIC, "http://shop.example", "https_required"),
        ({}, "https://127.0.0.1", "internal_error"),
        (PUBLIC, "https://shop.example", "invalid_credentials"),
    ]
    for given, url, code in cases:
        far = ("192.0.2.7", 50000)
        app = app_of(Auth("memory:", **given))
        with TestClient(app, base_url=url, client=far) as client:
            answer = client.post(f"{BASE}/login", json=body)
            assert code_of(answer) == code
        # An IPv4 caller of a socket for both kinds of address is IPv4.
        for near in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            with TestClient(app, base_url=url, client=(near, 50000)) as client:
                answer = client.post(f"{BASE}/login", json=body)
                assert code_of(answer) == "invalid_credentials"
    assert caplog.text.count("give WATCHWORD_ISSUER") == 1


def test_an_ipv4_caller_has_one_address_in_either_form() -> None:
    """For the app's own check, the throttle and the audit log alike."""
    seen = []

    async def check(given: Credentials) -> None:
        seen.append(given.address)

    app = app_of(Auth("memory:", authenticate=check, **PUBLIC))
    for caller in ("192.0.2.7", "::ffff:192.0.2.7"):
        with TestClient(
            app, base_url="https://shop.example", client=(caller, 1)
        ) as client:
            client.post(f"{BASE}/login", json={"username": NAME, "password": PASSWORD})
    assert seen == ["192.0.2.7", "192.0.2.7"]


def test_the_issuer_is_learnt_once_and_only_where_none_was_told() -> None:
    """In the process that signs in and in one that only sees the token first."""
    url = "http://127.0.0.1:8123"
    here: dict[str, Any] = {"base_url": url, "client": ("127.0.0.1", 50000)}
    first, second = (Auth("sqlite:///app.db") for _ in range(2))
    with (
        TestClient(app_of(first), **here) as one,
        TestClient(app_of(second), **here) as two,
    ):
        call(one, first.register, NAME, PASSWORD)
        access = login(one)["accessToken"]
        assert payload_of(access)["iss"] == url
        assert two.get("/hello", headers=bearer(access)).status_code == 200
        answer = two.get("/hello")
        assert f'="{url}/.well-known/' in answer.headers["www-authenticate"]
        page = {"Origin": url, "Sec-Fetch-Site": "same-site"}  # of that port
        body = {"username": NAME, "password": PASSWORD, "transport": "cookie"}
        assert code_of(two.post(f"{BASE}/login", json=body, headers=page)) == "ok"
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"issuer": "http://localhost:9000"}, here, "http://localhost:9000"),
        ({"port": 9000}, here, "http://127.0.0.1:9000"),
        ({}, {"base_url": url}, "http://127.0.0.1:8000"),  # from no address
    ]
    for given, kind, issuer in cases:
        with TestClient(app_of(Auth("memory:", **given)), **kind) as client:
            place = "/.well-known/oauth-authorization-server"
            assert client.get(place).json()["issuer"] == issuer


def test_no_word_of_a_proxy_is_learnt_as_a_scheme() -> None:
    """A middleware of the host may have put it into the scope, as it was sent."""
    auth = Auth("memory:")
    with TestClient(app_of(auth), client=("127.0.0.1", 1)) as client:
        engine = auth._authenticator.engine
        for scheme, issuer in (
            ("gopher", "http://127.0.0.1:8000"),
            ("wss", "https://[::1]:8123"),
        ):
            place = {"scheme": scheme, "server": ("::1", 8123), "client": ("::1", 1)}
            auth._authenticator.served_at(place)
            assert engine.issuer == issuer
        assert client.get("/hello").status_code == 401


def test_behind_a_proxy_only_https_gets_through() -> None:
    app = app_of(Auth("memory:", behind_proxy="127.0.0.1", **PUBLIC))
    with TestClient(app, client=("127.0.0.1", 1)) as client:
        for protocol, code in (("http", "https_required"), ("https", "token_missing")):
            headers = {"X-Forwarded-Proto": protocol, "X-Forwarded-For": "192.0.2.7"}
            assert code_of(client.get(f"{BASE}/me", headers=headers)) == code


def test_the_auth_routes_have_the_headers_of_the_server() -> None:
    with TestClient(app_of(Auth("memory:"))) as client:
        answer = client.get(f"{BASE}/me")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "x-content-type-options" not in client.get("/hello").headers


# Users and claims of the app's own


def test_the_apps_users_and_claims() -> None:
    async def check(given: Credentials) -> Subject | None:
        return Subject(7, roles=("clerk",)) if given.password == PASSWORD else None

    async def claims(session: Session) -> dict[str, Any]:
        return {"plan": "gold", "sub": "not for an app to say"}

    auth = Auth("memory:", authenticate=check, claims_hook=claims)
    with TestClient(app_of(auth)) as client:
        access = login(client)["accessToken"]
        subject = "00000000-0000-0000-0000-000000000007"
        hello = client.get("/hello", headers=bearer(access))
        assert hello.json() == {"hello": subject}
        assert payload_of(access)["plan"] == "gold"
        me = client.get(f"{BASE}/me", headers=bearer(access)).json()
        assert me == payload_of(access)
        assert payload_of(access)["sub"] == subject
        kept = login(client)
        sid = kept["sessionId"]
        assert call(client, partial(auth.end_all, subject, but=sid)) == 1
        hello = client.get("/hello", headers=bearer(kept["accessToken"]))
        assert hello.json() == {"hello": subject}
        assert call(client, auth.end_all, 7) == 1
        assert code_of(client.get("/hello", headers=bearer(access))) == "token_revoked"


def test_an_app_invites_and_is_asked_before_a_user_is_registered() -> None:
    asked = []

    async def before(request: RegistrationRequest) -> bool:
        asked.append(request)
        return False

    auth = Auth("memory:", registration="open", before_registration=before)
    with TestClient(app_of(auth)) as client:
        parts = auth._authenticator.engine.self_service
        assert parts is not None
        call(client, auth.invite, "ben@example.org", ["clerk"])
        outbox = auth._authenticator.engine.stores.outbox
        (waiting,) = call(client, partial(outbox.list, limit=10))
        assert waiting.message.lane is Lane.UNKNOWN
        with pytest.raises(RegistrationRefused):
            call(client, parts.registrations.ask, "ann@example.org", PASSWORD)
    assert [one.email for one in asked] == ["ann@example.org"]


def test_nobody_signs_in_as_nobody() -> None:
    """Not even with the password that those who are not there are checked against."""
    program: Any = example("fastapi_own_users")
    given = Credentials(username="nobody-at-all", password=PASSWORD)
    program.NOBODY = (program.NOBODY[0], program.hasher.hash(PASSWORD))
    assert program.check(given) is None


def payload_of(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_our_own_users_can_be_ended_by_their_id() -> None:
    auth = Auth("memory:")
    with TestClient(app_of(auth)) as client:
        account = call(client, auth.register, NAME, PASSWORD)
        access = bearer(login(client)["accessToken"])
        user = By(Actor.USER, "192.0.2.7")
        end_all = partial(auth.end_all, uuid.UUID(bytes=account.id), by=user)
        assert call(client, end_all) == 1
        assert code_of(client.get("/hello", headers=access)) == "token_revoked"
        events = call(client, auth._authenticator.engine.stores.audit.read, 0, 99)
        assert events[-1][1].address == user.address
        assert events[-1][1].detail["by"] == user.actor


def test_an_error_of_ours_in_a_route_of_the_app_is_answered() -> None:
    auth = Auth("memory:")
    app = app_of(auth)

    @app.post("/register")
    async def register(name: str, password: str) -> None:
        await auth.register(name, password)

    with TestClient(app) as client:
        for password, code in (
            ("short", "password_rejected"),
            (PASSWORD, "ok"),
            (PASSWORD, "name_taken"),
        ):
            given = {"name": NAME, "password": password}
            assert code_of(client.post("/register", params=given)) == code


def test_another_event_loop_is_refused_with_a_sentence() -> None:
    """Not with what asyncio says where it does not run."""
    entered = [
        verify.Verifier("https://auth.example"),
        ResourceServer("https://auth.example").lifespan(None),
        Auth("memory:").lifespan(None),
    ]

    async def enter(one: Any) -> None:
        async with one:
            pass

    for one in entered:
        with pytest.raises(RuntimeError, match="runs on asyncio"):
            trio.run(enter, one)


def test_one_auth_runs_in_one_app_at_a_time() -> None:
    """A second start says so, and the app that runs goes on; then another may."""
    auth = Auth("memory:")
    for _ in range(2):
        with TestClient(app_of(auth)) as client:
            call(client, auth.register, NAME, PASSWORD)
            with (
                pytest.raises(RuntimeError, match="was entered a second time"),
                TestClient(app_of(auth)),
            ):
                pass
            access = bearer(login(client)["accessToken"])
            assert client.get("/hello", headers=access).status_code == 200


# Tokens that are bound to a key


def test_a_bound_token_opens_a_route_of_the_app_with_its_proof_alone() -> None:
    """The proof is for the app's own address, and the nonce comes with the refusal."""
    auth = Auth("memory:", **PUBLIC)
    prover, drawn = Prover(), iter(range(100))

    def proof(method: str, path: str, nonce: str | None, access: str = "") -> str:
        claims = {
            "jti": f"proof-{next(drawn)}",
            "htm": method,
            "htu": PUBLIC["issuer"] + path,
            "iat": int(time.time()),
            "nonce": nonce,
            "ath": ath_of(access) if access else None,
        }
        return prover.proof(payload={k: v for k, v in claims.items() if v is not None})

    with TestClient(app_of(auth), base_url=PUBLIC["issuer"]) as client:
        call(client, auth.register, NAME, PASSWORD)
        body = {"username": NAME, "password": PASSWORD}
        place = f"{BASE}/login"
        needed = client.post(
            place, json=body, headers={"DPoP": proof("POST", place, None)}
        )
        nonce = needed.headers["dpop-nonce"]
        answer = client.post(
            place, json=body, headers={"DPoP": proof("POST", place, nonce)}
        )
        access = answer.json()["accessToken"]

        assert code_of(client.get("/hello", headers=bearer(access))) == "token_invalid"
        headers = {"Authorization": f"DPoP {access}"}
        answer = client.get("/hello", headers=headers)
        assert code_of(answer) == "invalid_dpop_proof"
        assert 'DPoP realm="watchword", error=' in answer.headers["www-authenticate"]
        headers["DPoP"] = proof("GET", "/hello", None, access)
        answer = client.get("/hello", headers=headers)
        assert code_of(answer) == "use_dpop_nonce"
        nonce = answer.headers["dpop-nonce"]
        headers["DPoP"] = proof("GET", "/other", nonce, access)
        assert code_of(client.get("/hello", headers=headers)) == "invalid_dpop_proof"
        headers["DPoP"] = proof("GET", "/hello", nonce, access)
        assert client.get("/hello", headers=headers).status_code == 200
        assert code_of(client.get("/hello", headers=headers)) == "invalid_dpop_proof"
        headers["DPoP"] = proof("GET", f"{BASE}/me", nonce, access)
        assert client.get(f"{BASE}/me", headers=headers).status_code == 200


# Imports

SERVER = ("apsw", "argon2", "pydantic_settings", "uvicorn", "watchword.server")
FRAMEWORKS = ("django", "fastapi", "flask", "litestar", "starlette")


@pytest.mark.parametrize("name", [*FRAMEWORKS, "django.drf"])
def test_an_api_that_only_verifies_loads_nothing_of_the_server(name: str) -> None:
    """Nor another framework: FastAPI alone is made of another one."""
    known = {"fastapi": {"fastapi", "starlette"}, "django.drf": {"django"}}
    absent = [*SERVER, *(set(FRAMEWORKS) - known.get(name, {name}))]
    program = (
        "import sys; from django.conf import settings; settings.configure(); "
        if name == "django.drf"
        else "import sys; "
    )
    program += f"import watchword.integrations.{name}; import watchword.verify; "
    program += f"print(*[one for one in {absent} if one in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("\n", "")
