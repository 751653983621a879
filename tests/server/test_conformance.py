"""The certification plans of the OpenID Foundation, module by module.

Basic OP, Config OP and RP-Initiated Logout OP. Each function says, under the name of
a module, what that module sends and what it wants to see. The real suite is run from
outside; this one fails within seconds.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urljoin

import httpx2
import msgspec
import pytest
import pytest_asyncio

from tests.scenarios.api import PASSWORD, bearer
from tests.server.relying import (
    CHALLENGE,
    NAME,
    VERIFIER,
    Party,
    answer_in,
    claims_in,
    outcome_of,
    party,
)
from tests.server.visiting import Pages, pages_of
from watchword.core.actor import APP
from watchword.core.limits import SECOND
from watchword.testing import ManualClock

ISSUER: Final = "https://login.example.org"
DISCOVERY: Final = "/.well-known/openid-configuration"
ADDRESS: Final = "alice@a.example"
BYE: Final = "https://one.example/bye"
LONG: Final = "s" * 128
"""A `state` that is no shorter than the suite's."""

_PLAIN: Final = {"code_challenge": None, "code_challenge_method": None}


class Plan:
    """The clients of the suite, as its static registration has them, and a browser."""

    def __init__(self, pages: Pages, one: Party, two: Party) -> None:
        self.pages = pages
        self.one = one
        self.two = two
        self.browser = pages.browser()
        self.shown: list[str] = []
        self._people = 1

    def begin(self) -> None:
        """A new module: nobody is signed in."""
        self._people += 1
        self.browser = self.pages.browser(f"127.0.0.{self._people}")
        self.pages.api.clock.advance(SECOND)

    def wait(self, seconds: int) -> None:
        self.pages.api.clock.advance(seconds * SECOND)

    async def ask(self, app: Party | None = None, **changed: Any) -> dict[str, str]:
        """What the client is sent, once all pages on the way are filled in."""
        await self.browser.get((app or self.one).address(**changed))
        return await self.arrive()

    async def arrive(self) -> dict[str, str]:
        self.shown = []
        while not _leaves(self.browser.page):
            page = self.browser.page
            if page.status_code == 303:
                await self.browser.get(urljoin(str(page.url), page.headers["location"]))
                continue
            assert page.status_code == 200, page.text
            self.shown.append(page.url.path)
            await self.browser.post(str(page.url), **_filled(page.text))
        return answer_in(self.browser.page)

    async def tokens(self, app: Party | None = None, **changed: Any) -> Any:
        sent = await self.ask(app, **changed)
        assert sent["state"] == "s t&=ä"
        assert sent["iss"] == ISSUER
        answer = await self.redeem(sent["code"], app)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        return answer.json()

    async def redeem(
        self, code: str, app: Party | None = None, **form: str
    ) -> httpx2.Response:
        """By `client_secret_basic`, as all modules but one."""
        app = app or self.one
        fields = {"grant_type": "authorization_code", "code": code}
        return await self.post(app, redirect_uri=app.uri, **fields, **form)

    async def post(self, app: Party, **form: str) -> httpx2.Response:
        assert app.secret is not None
        return await self.pages.api.client.post(
            "/oauth/token", data=form, auth=(app.id, app.secret)
        )

    async def userinfo(self, tokens: Any) -> Any:
        answer = await self.pages.api.client.get(
            "/oauth/userinfo", headers=bearer(tokens["access_token"])
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        claims = answer.json()
        assert claims["sub"] == claims_in(tokens["id_token"])["sub"]
        return claims

    async def check(self, tokens: Any, nonce: str | None = "n") -> dict[str, Any]:
        """The claims of an ID token, each as OpenID Connect Core §2 wants it."""
        header, claims = _header(tokens["id_token"]), claims_in(tokens["id_token"])
        (key,) = [one for one in await self.keys() if one["kid"] == header["kid"]]
        assert (header["alg"], key["kty"]) == ("RS256", "RSA")
        assert (claims["iss"], claims["aud"]) == (ISSUER, self.one.id)
        now = self.pages.api.clock() // SECOND
        assert claims["auth_time"] <= claims["iat"] <= now < claims["exp"]
        assert claims.get("nonce") == nonce
        assert not {"name", "email", "preferred_username"} & set(claims)
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] > 0
        return dict(claims)

    async def keys(self) -> list[dict[str, str]]:
        answer = await self.pages.api.client.get("/.well-known/jwks.json")
        return list(answer.json()["keys"])

    async def sign_out(self, **fields: str | None) -> str:
        """Where a request to sign out ends: a path of ours, or an address elsewhere."""
        sent = {name: value for name, value in fields.items() if value is not None}
        await self.browser.get(f"/oauth/logout?{urlencode(sent)}")
        while not _leaves(page := self.browser.page):
            if page.status_code == 303:
                await self.browser.get(urljoin(str(page.url), page.headers["location"]))
            elif 'name="logout"' in page.text:
                form = re.search(r'<form[^>]* action="([^"]*)"', page.text)
                action = urljoin(str(page.url), form[1] if form else "")
                ticket = re.search(r'name="logout" value="([^"]*)"', page.text)
                await self.browser.post(action, logout=ticket[1] if ticket else "")
            else:
                assert page.status_code in {200, 400}
                return "page"
        return str(page.headers["location"])

    async def is_signed_in(self) -> bool:
        """As the suite finds out: `prompt=none`."""
        sent = await self.ask(prompt="none")
        assert ("code" in sent) or sent["error"] == "login_required"
        return "code" in sent


def _leaves(page: httpx2.Response) -> bool:
    return page.status_code == 303 and "://" in page.headers["location"]


def _filled(page: str) -> dict[str, str]:
    if 'name="password"' in page:
        return {"username": NAME, "password": PASSWORD}
    assert 'name="decision"' in page, page
    return {"decision": "allow"}


def _header(token: str) -> Any:
    part = token.split(".", maxsplit=1)[0]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest_asyncio.fixture
async def plan(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Plan]:
    # 3072 bits take up to some seconds, and the length is not what is tested.
    monkeypatch.setattr("watchword.keys.signing.RSA_BITS", 2048)
    async with pages_of(tmp_path, clock, issuer=ISSUER) as pages:
        given: Any = {"confidential": True, "pkce": False, "id_token_alg": "RS256"}
        one = await party(pages, "one", post_logout_redirect_uris=[BYE], **given)
        two = await party(pages, "two", **given)
        for app in (one, two):
            app.given = dict(_PLAIN)
        service = pages.engine.self_service
        assert service is not None
        account = await pages.api.id_of(NAME)
        await service.email_changes.assign(account, ADDRESS, confirmed=True, by=APP)
        yield Plan(pages, one, two)


# Basic OP: oidcc-basic-certification-test-plan


async def _server(plan: Plan) -> None:
    tokens = await plan.tokens()
    assert plan.shown == ["/sign-in"]
    await plan.check(tokens)
    assert await plan.userinfo(tokens) == {
        "sub": claims_in(tokens["id_token"])["sub"],
    }


async def _response_type_missing(plan: Plan) -> None:
    sent = await plan.ask(response_type=None)
    assert sent["error"] in {"invalid_request", "unsupported_response_type"}
    assert set(sent) <= {"error", "error_description", "state", "iss"}
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*", sent["error_description"])


async def _userinfo(plan: Plan) -> None:
    """By GET, by POST with the header, by POST with the token in the body."""
    tokens = await plan.tokens(scope="openid email")
    expected, path = await plan.userinfo(tokens), "/oauth/userinfo"
    token, post = tokens["access_token"], plan.pages.api.client.post
    for answer in (
        await post(path, headers=bearer(token)),
        await post(path, data={"access_token": token}),
    ):
        assert (answer.status_code, answer.json()) == (200, expected)


async def _without_nonce(plan: Plan) -> None:
    await plan.check(await plan.tokens(nonce=None), nonce=None)


async def _scopes(plan: Plan) -> None:
    """Address and phone are not in `scopes_supported`: they are left out, no error."""
    email, profile = {"email", "email_verified"}, {"preferred_username", "updated_at"}
    for scope, more in (
        ("openid profile", profile),
        ("openid email", email),
        ("openid address", set()),
        ("openid phone", set()),
        ("openid profile email address phone", email | profile),
    ):
        tokens = await plan.tokens(scope=scope)
        assert set(await plan.userinfo(tokens)) == {"sub"} | more
        await plan.check(tokens)


async def _other_order(plan: Plan) -> None:
    """Of the scopes, and of the parameters."""
    request = plan.one.request(scope="email openid")
    backwards = dict(reversed(request.items()))
    await plan.browser.get(f"/oauth/authorize?{urlencode(backwards)}")
    answer = await plan.redeem((await plan.arrive())["code"])
    assert "email" in await plan.userinfo(answer.json())


def _succeeds(**changed: Any) -> Module:
    async def run(plan: Plan) -> None:
        claims = await plan.check(await plan.tokens(**changed))
        assert plan.shown == ["/sign-in"]
        assert claims["acr"] in {"aal1", "aal2"}

    return run


async def _prompt_login(plan: Plan) -> None:
    first = await plan.check(await plan.tokens())
    plan.wait(1)
    second = await plan.check(await plan.tokens(prompt="login"))
    assert plan.shown == ["/sign-in"]
    assert second["auth_time"] > first["auth_time"]
    assert second["sub"] == first["sub"]


async def _prompt_none_not_logged_in(plan: Plan) -> None:
    sent = await plan.ask(prompt="none")
    assert sent["error"] == "login_required"
    assert sent["state"] == "s t&=ä"


async def _twice(plan: Plan, **changed: Any) -> None:
    """The second one shows no page and is of the same sign-in."""
    first = await plan.tokens()
    plan.wait(2)
    if "id_token_hint" in changed:
        changed["id_token_hint"] = first["id_token"]
    second = await plan.tokens(**changed)
    assert plan.shown == []
    for claim in ("sub", "auth_time"):
        assert (
            claims_in(second["id_token"])[claim] == claims_in(first["id_token"])[claim]
        )


def _same(**changed: str) -> Module:
    return lambda plan: _twice(plan, **changed)


async def _max_age_1(plan: Plan) -> None:
    first = await plan.check(await plan.tokens())
    plan.wait(2)
    second = await plan.check(await plan.tokens(max_age="1"))
    assert plan.shown == ["/sign-in"]
    assert second["auth_time"] > first["auth_time"]


async def _code_reuse(plan: Plan) -> None:
    """At once, and after 30 seconds: `invalid_grant`, and the first token is dead."""
    for seconds in (0, 30):
        code = (await plan.ask())["code"]
        tokens = (await plan.redeem(code)).json()
        plan.wait(seconds)
        again = await plan.redeem(code)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        answer = await plan.pages.api.client.get(
            "/oauth/userinfo", headers=bearer(tokens["access_token"])
        )
        assert answer.status_code == 401


async def _registered_redirect_uri(plan: Plan) -> None:
    address = plan.one.address(redirect_uri=f"{plan.one.uri}/aBcDeFgHiJ")
    page = await plan.browser.get(address)
    assert outcome_of(page) == "400"
    assert "location" not in page.headers
    assert "<h1>" in page.text


async def _by_post(plan: Plan) -> None:
    """A form of another site: it brings no cookie, the GET after it does."""
    await plan.tokens()
    plan.browser.page = await plan.browser.http.post(
        "/oauth/authorize",
        data=plan.one.request(),
        headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://suite.example"},
    )
    assert "code" in await plan.arrive()
    assert plan.shown == []


async def _secret_by_post(plan: Plan) -> None:
    code = (await plan.ask())["code"]
    answer = await plan.one.redeem(code, code_verifier=None)
    await plan.check(answer.json())


async def _request_object(plan: Plan) -> None:
    """By value or by reference: refused by its name, and never followed."""
    unsigned = "eyJhbGciOiJub25lIn0.e30."
    sent = await plan.ask(request=unsigned)
    assert sent["error"] == "request_not_supported"
    sent = await plan.ask(request_uri="https://suite.example/request.jwt")
    assert sent["error"] == "request_uri_not_supported"
    # One with the good redirect URI in it, beside a wrong one: a page says so.
    wrong = plan.one.address(request=unsigned, redirect_uri="https://wrong.example/")
    assert outcome_of(await plan.browser.get(wrong)) == "400"


async def _refresh_token(plan: Plan) -> None:
    scope = "openid offline_access"
    first = await plan.tokens(scope=scope, prompt="consent")
    assert plan.shown == ["/sign-in", "/consent"]
    plan.wait(1)
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    answer = await plan.post(plan.one, **form, scope=scope)
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    await plan.userinfo(second)
    old, new = claims_in(first["id_token"]), claims_in(second["id_token"])
    for claim in ("iss", "sub", "aud", "auth_time"):
        assert new[claim] == old[claim]
    assert new["iat"] > old["iat"]
    assert not {"nonce", "azp"} & set(new)
    # The token of the second client, presented by the first one.
    other = await plan.tokens(plan.two, scope=scope, prompt="consent")
    form["refresh_token"] = other["refresh_token"]
    refused = await plan.post(plan.one, **form)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await plan.post(plan.two, **form)).status_code == 200


async def _valid_pkce(plan: Plan) -> None:
    sent = await plan.ask(code_challenge=CHALLENGE, code_challenge_method="S256")
    answer = await plan.redeem(sent["code"], code_verifier=VERIFIER)
    await plan.check(answer.json())


# Config OP: oidcc-config-certification-test-plan


async def _discovery(plan: Plan) -> None:
    answer = await plan.pages.api.client.get(DISCOVERY)
    found = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert found["issuer"] == ISSUER
    for member, value in found.items():
        if member.endswith(("_endpoint", "_uri")):
            assert value.startswith(f"{ISSUER}/")
    for member, wanted in (
        ("response_types_supported", "code"),
        ("subject_types_supported", "public"),
        ("id_token_signing_alg_values_supported", "RS256"),
        ("scopes_supported", "openid"),
        ("claims_supported", "sub"),
        ("grant_types_supported", "authorization_code"),
        ("code_challenge_methods_supported", "S256"),
    ):
        assert wanted in found[member]
    # Absent, the second would mean true (Discovery §3).
    for member in ("request_parameter", "request_uri_parameter", "claims_parameter"):
        assert found[f"{member}_supported"] is False
    for tag in found["ui_locales_supported"]:
        assert re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", tag)
    assert {"userinfo_endpoint", "end_session_endpoint"} <= set(found)
    keys = await plan.keys()
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not [key for key in keys if {"d", "k", "p", "q"} & set(key)]
    assert {key["use"] for key in keys} == {"sig"}


# RP-Initiated Logout OP: oidcc-rp-initiated-logout-certification-test-plan


def _logout(ends_at: str, hint: str = "own", **fields: str | None) -> Module:
    """After a sign-in by code a request to sign out, which ends at a page or there.

    Afterwards nobody is signed in: where the request proves nothing, a page has asked.
    """

    async def run(plan: Plan) -> None:
        token = (await plan.tokens())["id_token"]
        given: dict[str, str | None] = {
            "id_token_hint": _hints(token)[hint],
            "post_logout_redirect_uri": BYE,
            "state": LONG,
        }
        assert await plan.sign_out(**(given | fields)) == ends_at
        assert not await plan.is_signed_in()

    return run


def _hints(token: str) -> dict[str, str | None]:
    """That of the server; the same with `alg` none; one by another key; none."""
    _, body, signature = token.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    forged = "".join(reversed(signature))
    return {
        "own": token,
        "unsigned": f"{unsigned}.{body}.",
        "forged": ".".join((*token.split(".")[:2], forged)),
        "none": None,
    }


Module = Callable[[Plan], Awaitable[None]]

_NOWHERE: Final[dict[str, Any]] = {"post_logout_redirect_uri": None}
_CLAIMS: Final = '{"userinfo":{"name":{"essential":true}}}'

PLANS: Final[dict[str, dict[str, Module]]] = {
    "oidcc-basic-certification-test-plan": {
        "oidcc-server": _server,
        "oidcc-response-type-missing": _response_type_missing,
        "oidcc-idtoken-signature": _server,
        "oidcc-userinfo-get, -post-header, -post-body": _userinfo,
        "oidcc-ensure-request-without-nonce-succeeds-for-code-flow": _without_nonce,
        "oidcc-scope-profile, -email, -address, -phone, -all": _scopes,
        "oidcc-alternate-happy-flow": _other_order,
        "oidcc-display-page": _succeeds(display="page"),
        "oidcc-display-popup": _succeeds(display="popup"),
        "oidcc-prompt-login": _prompt_login,
        "oidcc-prompt-none-not-logged-in": _prompt_none_not_logged_in,
        "oidcc-prompt-none-logged-in": _same(prompt="none"),
        "oidcc-max-age-1": _max_age_1,
        "oidcc-max-age-10000": _same(max_age="10000"),
        "oidcc-ensure-request-with-unknown-parameter-succeeds": _succeeds(
            extra="foobar"
        ),
        "oidcc-id-token-hint": _same(prompt="none", id_token_hint=""),
        "oidcc-login-hint": _succeeds(login_hint="buffy@suite.example"),
        "oidcc-ui-locales": _succeeds(ui_locales="se"),
        "oidcc-claims-locales": _succeeds(claims_locales="se"),
        "oidcc-ensure-request-with-acr-values-succeeds": _succeeds(
            acr_values="aal1 aal2"
        ),
        "oidcc-codereuse, -30seconds": _code_reuse,
        "oidcc-ensure-registered-redirect-uri": _registered_redirect_uri,
        "oidcc-ensure-post-request-succeeds": _by_post,
        "oidcc-server-client-secret-post": _secret_by_post,
        "oidcc-…-request-object…, -request-uri-unsigned…": _request_object,
        "oidcc-claims-essential": _succeeds(claims=_CLAIMS),
        "oidcc-refresh-token": _refresh_token,
        "oidcc-ensure-request-with-valid-pkce-succeeds": _valid_pkce,
    },
    "oidcc-config-certification-test-plan": {
        "oidcc-discovery-endpoint-verification": _discovery,
    },
    "oidcc-rp-initiated-logout-certification-test-plan": {
        "-discovery-endpoint-verification": _discovery,
        "oidcc-rp-initiated-logout": _logout(f"{BYE}?state={LONG}"),
        "-bad-post-logout-redirect-uri": _logout(
            "page", post_logout_redirect_uri="https://one.example/other"
        ),
        "-modified-id-token-hint": _logout("page", "unsigned"),
        "-no-id-token-hint": _logout("page", "none"),
        "-no-params": _logout("page", "none", state=None, **_NOWHERE),
        "-no-post-logout-redirect-uri": _logout("page", **_NOWHERE),
        "-no-state": _logout(BYE, state=None),
        "-only-state": _logout("page", "none", **_NOWHERE),
        "-query-added-to-post-logout-redirect-uri": _logout(
            "page", post_logout_redirect_uri=f"{BYE}?foo=bar"
        ),
        "-bad-id-token-hint": _logout("page", "forged"),
    },
}


@pytest.mark.parametrize("name", PLANS)
async def test_the_modules_of_a_plan_pass(plan: Plan, name: str) -> None:
    """All that fail are named. Warnings of the suite are not failures here either."""
    failed = []
    for module, run in PLANS[name].items():
        plan.begin()
        try:
            await run(plan)
        except (AssertionError, KeyError, ValueError) as error:
            error.add_note(module)
            failed.append(error)
    if failed:
        raise ExceptionGroup(name, failed)
