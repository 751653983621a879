"""The OAuth endpoints: what clients and resource servers may ask, and what they get.

That libraries of others get along with them is in tests/strangers, and what attackers
send in tests/surfaces.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

import httpx2
import msgspec
import pytest
import pytest_asyncio

from tests.scenarios.api import (
    BASE,
    PASSWORD,
    LocalApi,
    bearer,
    code_of,
    local_api,
    settings_for,
)
from watchword import Subject
from watchword.core.limits import (
    ACCESS_TTL_MAX,
    JWKS_MAX_AGE,
    REFRESH_ABSOLUTE,
    REFRESH_IDLE,
    SECOND,
    THROTTLE_CLIENT_BURST,
)
from watchword.core.session import RequestedToken, SessionOptions
from watchword.errors import StoreUnavailable
from watchword.testing import ManualClock

ISSUER: Final = "https://auth.example"
ORDERS: Final = "https://orders.example"
BILLS: Final = "https://bills.example"
DISCOVERY: Final = {
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "grant_types_supported": [
        "authorization_code",
        "refresh_token",
        "client_credentials",
    ],
    "code_challenge_methods_supported": ["S256"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
    "scopes_supported": ["openid", "profile", "email", "offline_access"],
    "claims_supported": [
        *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr"),
        *("sid", "at_hash", "preferred_username", "updated_at", "email"),
        *("email_verified", "roles", "groups"),
    ],
    "acr_values_supported": ["aal1", "aal2"],
    "prompt_values_supported": ["none", "login", "consent", "select_account"],
    "ui_locales_supported": ["en", "de"],
    "authorization_response_iss_parameter_supported": True,
    "request_parameter_supported": False,
    "request_uri_parameter_supported": False,
    "claims_parameter_supported": False,
}
"""What OpenID Connect Discovery §3, RFC 8414, 9126 and 9207 want to be said."""


class OAuth:
    """The endpoints, and clients of every kind."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.secrets: dict[str, str | None] = {}

    async def add(self, name: str, **given: Any) -> None:
        given = {"confidential": True} | given
        _, self.secrets[name] = await self.api.engine.clients.add(name, **given)

    async def post(
        self, path: str, client: str | None = "first-party", **form: Any
    ) -> httpx2.Response:
        headers = form.pop("headers", {})
        if client is not None:
            form["client_id"] = client
            if secret := self.secrets.get(client):
                form["client_secret"] = secret
        return await self.api.client.post(f"/oauth/{path}", data=form, headers=headers)

    async def refresh(
        self, token: str, client: str = "first-party", **form: Any
    ) -> httpx2.Response:
        grant = {"grant_type": "refresh_token", "refresh_token": token}
        return await self.post("token", client, **grant, **form)

    async def login(self, **given: Any) -> Any:
        headers = {}
        if secret := self.secrets.get(given.get("clientId", "")):
            headers["Authorization"] = basic(given["clientId"], secret)
        body = {"username": "alice", "password": PASSWORD, **given}
        answer = await self.api.client.post(f"{BASE}/login", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def claims(self, token: str) -> Any:
        """What the token says, whoever it is for."""
        body = token.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(body + "=="))


def basic(name: str, secret: str) -> str:
    pair = f"{quote_plus(name)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def error_of(answer: httpx2.Response) -> str:
    """`ok`, or the error code in its RFC 6749 §5.2 form."""
    assert answer.headers["cache-control"] == "no-store"
    if answer.status_code == 200:
        return "ok"
    assert answer.headers["content-type"] == "application/json"
    problem = answer.json()
    assert set(problem) == {"error", "error_description"}
    described = problem["error_description"]
    assert all(" " <= char <= "~" and char not in '"\\' for char in described)
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    return str(problem["error"])


@pytest_asyncio.fixture
async def oauth(api: LocalApi) -> OAuth:
    return OAuth(api)


async def test_a_refresh_by_oauth_is_the_native_one(oauth: OAuth) -> None:
    """The same rotation, retry and reuse; the two ways can be mixed in one session."""
    native = await oauth.login()
    key: Any = {"headers": {"Idempotency-Key": "a-key-of-sixteen-or-more"}}
    first = await oauth.refresh(native["refreshToken"], **key)
    assert error_of(first) == "ok"
    assert first.headers["pragma"] == "no-cache"
    tokens = first.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 120)
    again = (await oauth.refresh(native["refreshToken"], **key)).json()
    assert again["refresh_token"] == tokens["refresh_token"]
    assert error_of(await oauth.refresh(tokens["refresh_token"], **key)) == (
        "invalid_request"  # a constant key
    )
    answer = await oauth.api.refresh(tokens["refresh_token"])
    assert code_of(answer) == "ok"
    assert error_of(await oauth.refresh(tokens["refresh_token"])) == "invalid_grant"
    assert code_of(await oauth.api.secure(answer.json()["accessToken"])) == (
        "token_revoked"
    )


async def test_every_refused_grant_looks_the_same(oauth: OAuth) -> None:
    """Expired, ended, reused, malformed, another client's: byte for byte (RT-14)."""
    await oauth.add("spa", confidential=False)
    spent, ended, foreign, old = [
        (await oauth.login())["refreshToken"] for _ in range(4)
    ]
    await oauth.refresh(spent)
    await oauth.api.logout(ended)
    answers = [
        await oauth.refresh(spent),
        await oauth.refresh(ended),
        await oauth.refresh(foreign, "spa"),
        await oauth.refresh("ww_rt_" + "A" * 76),
        await oauth.refresh("nonsense"),
    ]
    oauth.api.clock.advance(8 * 24 * 3600 * SECOND)
    answers.append(await oauth.refresh(old))
    assert {answer.status_code for answer in answers} == {400}
    assert {error_of(answer) for answer in answers} == {"invalid_grant"}
    assert len({answer.content for answer in answers}) == 1


async def test_another_clients_token_is_not_spent_by_showing_it(oauth: OAuth) -> None:
    """RT-04: no client can kill another's session with what it cannot use."""
    await oauth.add("spa", confidential=False)
    token = (await oauth.login(clientId="spa"))["refreshToken"]
    assert error_of(await oauth.refresh(token)) == "invalid_grant"
    assert error_of(await oauth.post("revoke", token=token)) == "invalid_grant"
    assert code_of(await oauth.api.refresh(token)) == "refresh_invalid"
    assert error_of(await oauth.refresh(token, "spa")) == "ok"


async def test_a_confidential_clients_sessions_need_its_secret(oauth: OAuth) -> None:
    await oauth.add("backend")
    token = (await oauth.login(clientId="backend"))["refreshToken"]
    secret = oauth.secrets.pop("backend")
    assert secret is not None
    form = {"grant_type": "refresh_token", "refresh_token": token}
    for headers, more, error in (
        ({}, {"client_id": "backend"}, "invalid_client"),
        ({}, {"client_id": "backend", "client_secret": "x"}, "invalid_client"),
        ({"Authorization": basic("backend", "x")}, {}, "invalid_client"),
        ({"Authorization": "Basic !"}, {}, "invalid_client"),
        ({}, {}, "invalid_client"),
        (
            {"Authorization": basic("backend", secret)},
            {"client_id": "backend", "client_secret": secret},
            "invalid_request",  # TE-12: one method
        ),
        (
            {"Authorization": basic("backend", secret)},
            {"client_id": "first-party"},
            "invalid_request",
        ),
        ({"Authorization": basic("backend", secret)}, {}, "ok"),
    ):
        answer = await oauth.api.client.post(
            "/oauth/token", data=form | more, headers=headers
        )
        assert error_of(answer) == error
        if error == "invalid_client":
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="watchword"'


async def test_scope_and_resource_can_be_narrowed_and_never_widened(
    oauth: OAuth,
) -> None:
    """RT-06, RT-07: the access token gets less, the session keeps what it has."""
    await oauth.add(
        "spa", confidential=False, scope=["read", "write"], audience=[ORDERS, BILLS]
    )
    login = await oauth.login(clientId="spa", scope="write read")
    assert login["scope"] == "write read"
    token = login["refreshToken"]
    for form, scope, audience in (
        ({"scope": "read"}, "read", [ORDERS, BILLS]),
        ({"resource": [BILLS] * 3}, "write read", BILLS),
        ({"scope": ""}, "write read", [ORDERS, BILLS]),
    ):
        answer = await oauth.refresh(token, "spa", **form)
        assert error_of(answer) == "ok"
        token = answer.json()["refresh_token"]
        claims = oauth.claims(answer.json()["access_token"])
        assert answer.json()["scope"] == claims["scope"] == scope
        assert claims["aud"] == audience
    for form, error in (
        ({"scope": "read admin"}, "invalid_scope"),
        ({"resource": "https://other.example"}, "invalid_target"),
    ):
        assert error_of(await oauth.refresh(token, "spa", **form)) == error
    assert error_of(await oauth.refresh(token, "spa")) == "ok"  # nothing was spent


async def test_a_sign_in_asks_for_no_more_than_its_client_may_have(
    oauth: OAuth,
) -> None:
    await oauth.add("spa", confidential=False, scope=["read"], audience=[ORDERS])
    await oauth.add("api", rights=["introspect"])
    body = {"username": "alice", "password": PASSWORD, "clientId": "spa"}
    for more, code in (
        ({"scope": "write"}, "invalid_scope"),
        ({"resource": [BILLS]}, "invalid_target"),
        ({"clientId": "nobody"}, "invalid_client"),
        ({"clientId": "api"}, "invalid_client"),  # it has a secret
        ({"transport": "cookie"}, "invalid_request"),
        ({"scope": "read", "resource": [ORDERS]}, "ok"),
    ):
        answer = await oauth.api.client.post(f"{BASE}/login", json=body | more)
        assert code_of(answer) == code
    secret = oauth.secrets["api"]
    assert secret is not None
    headers = {"Authorization": basic("api", secret)}
    answer = await oauth.api.client.post(
        f"{BASE}/login", json=body | {"clientId": "api"}, headers=headers
    )
    assert code_of(answer) == "unauthorized_client"  # RFC 9701 §3, RT-22


async def test_a_clients_own_token(oauth: OAuth) -> None:
    """RFC 9068 §2.2: its `sub` is the client, and there is nobody's session."""
    await oauth.add("cron", scope=["read", "write"], access_ttl=60 * SECOND)
    grant = {"grant_type": "client_credentials", "scope": "read"}
    answer = await oauth.post("token", "cron", **grant)
    assert error_of(answer) == "ok"
    tokens = answer.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope"}
    claims = oauth.claims(tokens["access_token"])
    assert claims["sub"] == claims["client_id"] == "cron"
    assert (claims["scope"], tokens["expires_in"]) == ("read", 60)
    assert claims["exp"] - claims["iat"] == 60
    assert not {"sid", "auth_time", "amr", "acr", "roles"} & set(claims)
    access = tokens["access_token"]
    assert code_of(await oauth.api.secure(access)) == "ok"
    listed = await oauth.api.client.get(f"{BASE}/sessions", headers=bearer(access))
    assert code_of(listed) == "token_invalid"  # nobody's devices
    assert error_of(await oauth.post("revoke", "cron", token=access)) == (
        "unsupported_token_type"
    )
    for client, more, error in (
        ("cron", {"scope": "read admin"}, "invalid_scope"),
        ("cron", {"resource": ORDERS}, "invalid_target"),
        ("first-party", {}, "unauthorized_client"),
    ):
        assert error_of(await oauth.post("token", client, **grant | more)) == error


@pytest.mark.parametrize(
    ("grant_type", "error"),
    [
        (None, "invalid_request"),
        ("", "invalid_request"),
        *(
            (kind, "unsupported_grant_type")
            for kind in ("password", "implicit", "authorization-code", "REFRESH_TOKEN")
        ),
    ],
)
async def test_other_grants_do_not_exist(
    oauth: OAuth, grant_type: str | None, error: str
) -> None:
    """TE-16: least of all the password grant."""
    form: Any = {"username": "alice", "password": PASSWORD}
    if grant_type is not None:
        form["grant_type"] = grant_type
    assert error_of(await oauth.post("token", **form)) == error


async def test_revoking_either_token_ends_the_session(oauth: OAuth) -> None:
    """RFC 7009: whatever the hint says; twice, and for what is no token, too."""
    for pick in ("accessToken", "refreshToken"):
        for hint in ("access_token", "refresh_token", "something_else"):
            login = await oauth.login()
            form = {"token": login[pick], "token_type_hint": hint}
            for _ in range(2):
                answer = await oauth.post("revoke", **form)
                assert (error_of(answer), answer.json()) == ("ok", {})
                assert answer.headers["content-type"] == "application/json"
            assert code_of(await oauth.api.secure(login["accessToken"])) == (
                "token_revoked"
            )
            refused = await oauth.refresh(login["refreshToken"])
            assert error_of(refused) == "invalid_grant"
    assert error_of(await oauth.post("revoke", token="nonsense")) == "ok"
    assert error_of(await oauth.post("revoke")) == "invalid_request"


@pytest.mark.parametrize("path", ["/oauth/revoke", f"{BASE}/logout"])
async def test_a_clock_that_is_behind_ends_a_session_all_the_same(
    oauth: OAuth, path: str
) -> None:
    """200 is never said of a session that lives on."""
    login = await oauth.login()
    oauth.api.clock.advance(-2 * SECOND)
    access = login["accessToken"]
    answer = await oauth.api.client.post(
        path,
        data={"token": access, "client_id": "first-party"} if "oauth" in path else None,
        headers={} if "oauth" in path else bearer(access),
    )
    assert answer.status_code == 200
    refused = await oauth.api.refresh(login["refreshToken"])
    assert code_of(refused) == "session_revoked"


async def test_introspection_tells_what_a_token_is_worth_to_the_asker(
    oauth: OAuth,
) -> None:
    """IN-03 to IN-06: to whom it is not meant, it is nothing."""
    await oauth.add("api", rights=["introspect"])
    await oauth.add("orders", rights=["introspect"], audience=[ORDERS])
    await oauth.add("backend")
    login = await oauth.login()
    access = login["accessToken"]
    found = (await oauth.post("introspect", "api", token=access)).json()
    named = {"active": True, "token_type": "Bearer", "username": "alice"}
    assert found == named | oauth.claims(access)
    nothing: list[tuple[str, str]] = [
        ("orders", access),
        ("api", login["refreshToken"]),  # only its own client's
        ("api", "nonsense"),
        ("api", access[:-4] + "AAAA"),
    ]
    for client, token in nothing:
        answer = await oauth.post("introspect", client, token=token)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    for asker, error in (("backend", "unauthorized_client"), (None, "invalid_client")):
        answer = await oauth.post("introspect", asker, token=access)
        assert error_of(answer) == error
    await oauth.api.logout(login["refreshToken"])
    answer = await oauth.post("introspect", "api", token=access)
    assert answer.json() == {"active": False}


async def test_a_client_learns_the_roles_of_its_user_by_the_scope_roles_alone(
    oauth: OAuth,
) -> None:
    """In the token, and where an API asks about it; `first-party` needs no scope."""
    engine = oauth.api.engine
    await engine.accounts.set_roles(await oauth.api.id_of("alice"), ["admin"])
    await oauth.add("api", rights=["introspect"])
    await oauth.add("app", confidential=False, scope=["read", "roles"])
    for given, expected in (
        ({}, ["admin"]),
        ({"clientId": "app", "scope": "read"}, None),
        ({"clientId": "app"}, ["admin"]),
    ):
        token = (await oauth.login(**given))["accessToken"]
        found = (await oauth.post("introspect", "api", token=token)).json()
        said = oauth.claims(token).get("roles")
        assert (said, found.get("roles")) == (expected, expected)


async def test_a_refresh_token_is_introspected_by_its_own_client(oauth: OAuth) -> None:
    await oauth.add(
        "backend", rights=["introspect"], grants=["refresh_token"], scope=["read"]
    )
    token = (await oauth.login(clientId="backend"))["refreshToken"]
    found = (await oauth.post("introspect", "backend", token=token)).json()
    assert (found["active"], found["client_id"]) == (True, "backend")
    assert (found["scope"], found["username"]) == ("read", "alice")
    assert found["exp"] - found["iat"] == 7 * 24 * 3600
    await oauth.refresh(token, "backend")
    found = (await oauth.post("introspect", "backend", token=token)).json()
    assert found == {"active": False}  # spent


async def test_a_signed_introspection_is_for_its_asker_alone(oauth: OAuth) -> None:
    """RFC 9701 §5; and it is no access token (§8.1)."""
    await oauth.add("api", rights=["introspect"])
    access = (await oauth.login())["accessToken"]
    kind = "application/token-introspection+jwt"
    answer = await oauth.post(
        "introspect", "api", token=access, headers={"Accept": f"text/html, {kind}"}
    )
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == "no-store"
    said = oauth.claims(answer.text)
    assert (said["iss"], said["aud"]) == (ISSUER, "api")
    assert said["token_introspection"]["active"] is True
    assert said["token_introspection"]["username"] == "alice"
    assert not {"sub", "exp"} & set(said)
    assert code_of(await oauth.api.secure(answer.text)) == "token_invalid"
    for accept in ("application/json", "*/*", f"{kind};q=0"):
        answer = await oauth.post(
            "introspect", "api", token=access, headers={"Accept": accept}
        )
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
async def test_a_bound_token_is_active_to_an_api_that_checks_dpop(
    oauth: OAuth, *, signed: bool
) -> None:
    """Most software passes any active token as a bearer token, whatever `cnf` says."""
    await oauth.add("plain", rights=["introspect"])
    await oauth.add("checks", rights=["introspect"], checks_dpop=True)
    engine = oauth.api.engine
    options = SessionOptions(client_id="first-party", jkt="thumbprint")
    bound = RequestedToken(jkt="thumbprint")
    signed_in = await engine.sign_in.by_password(
        "alice", PASSWORD, options, requested=bound
    )
    unbound = (await oauth.login())["accessToken"]
    kind = "application/token-introspection+jwt"

    async def found(client: str, token: str) -> Any:
        headers = {"Accept": kind} if signed else {}
        answer = await oauth.post("introspect", client, token=token, headers=headers)
        said = oauth.claims(answer.text)["token_introspection"] if signed else None
        return said if signed else answer.json()

    assert await found("plain", signed_in.access_token) == {"active": False}
    said = await found("checks", signed_in.access_token)
    assert (said["active"], said["token_type"]) == (True, "DPoP")
    assert said["cnf"] == {"jkt": "thumbprint"}
    for client in ("plain", "checks"):
        said = await found(client, unbound)
        assert (said["active"], said["token_type"]) == (True, "Bearer")


async def test_introspection_names_own_accounts_alone(
    tmp_path: Path, clock: ManualClock
) -> None:
    """An app with users of its own says their names by its claims hook, if it likes.

    A client's own token has no user.
    """

    async def authenticate(credentials: Any) -> Subject:
        return Subject(7)

    async def claims(session: Any) -> dict[str, str]:
        return {"username": "seven", "shop": "north"}

    plugged: Any = {"authenticate": authenticate, "claims_hook": claims}
    async with local_api(settings_for(tmp_path, "memory"), clock, **plugged) as api:
        oauth = OAuth(api)
        await oauth.add("api", rights=["introspect"])
        await oauth.add("cron")
        access = (await oauth.login())["accessToken"]
        said = (await oauth.post("introspect", "api", token=access)).json()
        assert (said["username"], said["shop"], said["active"]) == (
            "seven",
            "north",
            True,
        )
        own = await oauth.post("token", "cron", grant_type="client_credentials")
        token = own.json()["access_token"]
        said = (await oauth.post("introspect", "api", token=token)).json()
        assert said["active"]
        assert "username" not in said


async def test_a_disabled_client_and_its_tokens_are_refused(oauth: OAuth) -> None:
    """Its users' sessions end; what it had for itself is seen by introspection."""
    await oauth.add("api", rights=["introspect"])
    await oauth.add("backend")
    login = await oauth.login(clientId="backend")
    own = await oauth.post("token", "backend", grant_type="client_credentials")
    await oauth.api.engine.clients.disable("backend")
    assert code_of(await oauth.api.secure(login["accessToken"])) == "token_revoked"
    refused = await oauth.refresh(login["refreshToken"], "backend")
    assert error_of(refused) == "invalid_client"
    form = {"token": own.json()["access_token"]}
    answer = await oauth.post("introspect", "api", **form)
    assert answer.json() == {"active": False}


async def test_in_its_last_second_a_session_is_over_for_oauth_too(
    oauth: OAuth,
) -> None:
    """What is active has an `exp` that is still to come, and can be refreshed."""
    await oauth.add("app", rights=["introspect"], grants=["refresh_token"])
    clock = oauth.api.clock
    clock.now += 400
    token = (await oauth.login(clientId="app"))["refreshToken"]
    begun, pause = clock.now, REFRESH_IDLE - 1  # in the rest of its last idle second
    end = begun + REFRESH_ABSOLUTE
    while clock.now + pause < end - SECOND:
        clock.advance(pause)
        found = (await oauth.post("introspect", "app", token=token)).json()
        assert found["active"]
        assert found["exp"] > clock.now // 1000
        fresh = (await oauth.refresh(token, "app")).json()
        assert fresh["expires_in"] == 120
        token = fresh["refresh_token"]
    for clock.now, active in ((end - 401, True), (end - 400, False), (end - 1, False)):
        found = (await oauth.post("introspect", "app", token=token)).json()
        assert found["active"] is active
    assert error_of(await oauth.refresh(token, "app")) == "invalid_grant"


async def test_a_client_disabled_during_a_sign_in_has_no_session(
    oauth: OAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor when it is enabled again: the session was taken back."""
    await oauth.add("spa", confidential=False)
    engine = oauth.api.engine
    start, made = engine.sessions.start, []

    async def disabled_meanwhile(*given: Any, **named: Any) -> Any:
        await engine.clients.disable("spa")
        made.append(await start(*given, **named))
        return made[0]

    monkeypatch.setattr(engine.sessions, "start", disabled_meanwhile)
    body = {"username": "alice", "password": PASSWORD, "clientId": "spa"}
    answer = await oauth.api.client.post(f"{BASE}/login", json=body)
    assert code_of(answer) == "invalid_client"
    await engine.clients.enable("spa")
    assert code_of(await oauth.api.secure(made[0].access_token)) == "token_revoked"
    refused = await oauth.refresh(made[0].refresh_token, "spa")
    assert error_of(refused) == "invalid_grant"


async def test_guessing_secrets_is_slowed_and_locks_nobody_out(oauth: OAuth) -> None:
    """TE-14: who has the secret never waits for those who guess it."""
    await oauth.add("api", rights=["introspect"])
    right = oauth.secrets["api"]
    oauth.secrets["api"] = "ww_cs_guess"
    errors = [
        error_of(await oauth.post("introspect", "api", token="x"))
        for _ in range(THROTTLE_CLIENT_BURST + 1)
    ]
    assert errors == [
        *["invalid_client"] * THROTTLE_CLIENT_BURST,
        "temporarily_unavailable",
    ]
    oauth.secrets["api"] = right
    assert error_of(await oauth.post("introspect", "api", token="x")) == "ok"


async def test_a_fault_of_ours_can_be_retried(
    oauth: OAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never invalid_grant: that would sign the user out."""
    token = (await oauth.login())["refreshToken"]

    async def down(*_: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(oauth.api.engine.stores.sessions, "load", down)
        for answer in (
            await oauth.refresh(token),
            await oauth.post("revoke", token=token),
        ):
            assert answer.status_code == 503
            assert error_of(answer) == "temporarily_unavailable"
            assert answer.headers["retry-after"] == "1"
    assert error_of(await oauth.refresh(token)) == "ok"


@pytest.mark.parametrize(
    "issuer", [ISSUER, "https://h.example/t1", "https://h.example/"]
)
async def test_the_metadata_is_found_from_the_issuer_alone(
    issuer: str, tmp_path: Path, clock: ManualClock
) -> None:
    """RFC 8414 §3.1 and OpenID Connect Discovery §4; its URLs are the issuer's."""
    settings = settings_for(tmp_path, "memory").model_copy(update={"issuer": issuer})
    path = issuer.partition("//")[2].partition("/")[2].rstrip("/")
    name = "/.well-known/oauth-authorization-server"
    async with local_api(settings, clock) as api:
        get = api.client.get
        found = await get(f"{name}/{path}" if path else name, headers={"Host": "evil"})
        assert found.status_code == 200
        document = found.json()
        # A proxy takes the issuer's path away; that of OpenID Connect has it in front.
        of_openid = (await get("/.well-known/openid-configuration")).json()
        ours = {name for name in document if name.startswith("watchword_")}
        assert ours == set(document) - set(of_openid) != set()
        assert of_openid == {n: v for n, v in document.items() if n not in ours}
        assert document["issuer"] == issuer
        assert "password" not in document["grant_types_supported"]
        base = issuer.rstrip("/")
        wrong = {m: v for m, v in DISCOVERY.items() if document[m] != v}
        assert not wrong
        assert not [m for m, v in document.items() if v in ([], "", None)]  # MD-04
        urls = {k: v for k, v in document.items() if isinstance(v, str)}
        assert all(url.startswith(base) for url in urls.values())
        for member, url in urls.items():
            if member != "issuer":
                answer = await get(url.removeprefix(base))
                assert answer.status_code in {200, 400, 401, 405}
        missing = await get("/api/auth/secure")
        challenge = missing.headers["www-authenticate"]
        where = challenge.partition('resource_metadata="')[2].partition('"')[0]
        origin = "/".join(issuer.split("/")[:3])
        for address, named in (
            (where.removeprefix(origin), f"{base}/api/auth"),
            ("/.well-known/oauth-protected-resource", issuer),
        ):
            resource = (await get(address)).json()
            assert resource["resource"] == named
            assert resource["authorization_servers"] == [issuer]


async def test_an_app_with_users_of_its_own_publishes_no_door(
    tmp_path: Path, clock: ManualClock
) -> None:
    """None of its endpoints, none of its members, and the keys as they are."""

    async def check(_: object) -> Subject | None:
        return None

    settings = settings_for(tmp_path, "memory")
    async with local_api(settings, clock, authenticate=check) as api:
        found = await api.client.get("/.well-known/openid-configuration")
        document = found.json()
        members = set(DISCOVERY) - {"subject_types_supported"}
        assert members & set(document) == {
            "grant_types_supported",
            "id_token_signing_alg_values_supported",
        }
        assert document["id_token_signing_alg_values_supported"] == ["ES256"]
        assert "authorization_code" not in document["grant_types_supported"]
        assert not [
            m for m in document if m.startswith(("auth", "user", "end", "push"))
        ]
        for path in ("/oauth/userinfo", "/oauth/authorize"):
            assert (await api.client.get(path)).status_code == 404


async def test_the_metadata_names_every_algorithm_that_the_ring_signs_with(
    tmp_path: Path, clock: ManualClock
) -> None:
    """While a change of WATCHWORD_SIGNING_ALG is under way, both."""
    settings = settings_for(tmp_path, "sqlite")
    async with local_api(settings, clock):
        pass
    settings = settings.model_copy(update={"signing_alg": "EdDSA"})
    async with local_api(settings, clock) as api:

        async def named() -> list[Any]:
            found = await api.client.get("/.well-known/openid-configuration")
            keys = (await api.client.get("/.well-known/jwks.json")).json()["keys"]
            named = found.json()["introspection_signing_alg_values_supported"]
            assert set(named) == {key["alg"] for key in keys}
            return list(named)

        assert await named() == ["ES256"]
        await api.engine.keys.maintain()  # the next key is of the new one
        assert await named() == ["ES256", "EdDSA"]
        clock.advance(JWKS_MAX_AGE)
        await api.engine.keys.maintain()
        assert await named() == ["EdDSA", "ES256"]
        clock.advance(ACCESS_TTL_MAX)
        await api.engine.keys.maintain()
        assert await named() == ["EdDSA"]


async def test_only_post_and_only_forms(oauth: OAuth) -> None:
    """TE-01, TE-02: and what stands in the query is not there."""
    for path in ("token", "revoke", "introspect"):
        for method in ("GET", "PUT", "DELETE"):
            answer = await oauth.api.client.request(method, f"/oauth/{path}")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
            assert error_of(answer) == "invalid_request"
        answer = await oauth.api.client.post(f"/oauth/{path}", json={"token": "x"})
        assert (answer.status_code, error_of(answer)) == (400, "invalid_request")
    login = await oauth.login()
    query = f"grant_type=refresh_token&refresh_token={login['refreshToken']}"
    answer = await oauth.api.client.post(f"/oauth/token?{query}&client_id=first-party")
    assert error_of(answer) == "invalid_request"
