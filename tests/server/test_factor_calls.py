"""Second factors over HTTP: each flow as a story, and how each is refused.

The rules are tested with the engine. Here: the members and statuses that programs are
written against, what may go on with what, and that no call goes past the factor.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from tests.authenticator import Authenticator
from tests.scenarios.api import (
    BASE,
    PASSWORD,
    LocalApi,
    bearer,
    local_api,
    settings_for,
)
from tests.server.factors import (
    Phone,
    call,
    continued,
    good,
    post,
    signed_in,
    verdict,
    with_phone,
)
from tests.server.test_account_calls import WRONG, Mails, confirmed
from tests.surfaces.proofs import Prover
from watchword import Credentials, Subject
from watchword.config import Settings
from watchword.core.actor import APP
from watchword.core.limits import FACTOR_ACCOUNT_INTERVAL, HOUR, RECENT, SECOND
from watchword.core.session import Authenticated, SessionOptions
from watchword.server.embedded import operations_for
from watchword.server.endpoints import ENDPOINTS, factors, session
from watchword.server.endpoints.account import password
from watchword.server.operation import Operation
from watchword.testing import ManualClock

ISSUER: Final = "http://localhost:8000"
NEW: Final = "five other words make one"
ANN: Final = "ann@example.org"
PROBLEM: Final = ["type", "title", "status", "detail", "code"]
BINDS: Final = "__Host-watchword-continuation"

_INNER: Final = ("id", "rawId", "type", "response", "clientExtensionResults")
CREDENTIALS: Final = (
    *WRONG,
    *({name: value} for name in _INNER for value in WRONG),
    {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}},
    *(
        {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": {
                "clientDataJSON": "e30",
                "authenticatorData": "AA",
                "signature": "AA",
                "userHandle": "AA",
                "attestationObject": "oA",
                name: value,
            },
        }
        for name in ("clientDataJSON", "attestationObject", "authenticatorData")
        for value in WRONG
    ),
    {str(n): n for n in range(40)},
)


def serving(folder: Path, **given: Any) -> Settings:
    asked = {"issuer": ISSUER, "registration": "open", **given}
    return settings_for(folder, "memory").model_copy(update=asked)


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(serving(tmp_path), clock) as opened:
        yield opened


@pytest_asyncio.fixture
async def strict(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    """Where each account needs a second factor."""
    settings = serving(tmp_path, second_factor="required")
    async with local_api(settings, clock) as opened:
        yield opened


async def proof_of(api: LocalApi, tokens: Any) -> tuple[str, list[str]]:
    """`acr` and `amr` of an access token."""
    me = good(await call(api, "GET", "/me", **bearer(tokens["accessToken"])))
    return me["acr"], me["amr"]


async def factors_of(api: LocalApi, tokens: Any) -> Any:
    return good(await call(api, "GET", "/factors", **bearer(tokens["accessToken"])))


async def with_passkey(
    api: LocalApi, tokens: Any, **headers: str
) -> tuple[Authenticator, Any]:
    """A passkey for the user of that session, and what was answered."""
    key = Authenticator(ISSUER)
    path, access = "/factors/passkeys", bearer(tokens["accessToken"])
    options = good(await post(api, f"{path}/options", **access))
    body = {
        "challenge": options["challenge"],
        "credential": key.create(options["publicKey"]),
        "name": "Key ring",
        "refreshToken": tokens["refreshToken"],
    }
    answer = await post(api, path, body, **headers)
    assert answer.status_code == 201, answer.text
    return key, answer.json()


async def by_passkey(
    api: LocalApi, key: Authenticator, body: Any = None, **headers: str
) -> dict[str, Any]:
    """Challenge and credential for a call, as that body and header ask for them."""
    path = "/login/passkey/options"
    options = good(await post(api, path, body or {}, **headers))
    return {
        "challenge": options["challenge"],
        "credential": key.get(options["publicKey"]),
    }


# From the first code to the last


async def test_an_authenticator_app_from_enrolment_to_removal(api: LocalApi) -> None:
    """The members and statuses exactly: programs are written against them."""
    first, other = good(await signed_in(api)), good(await signed_in(api))
    assert await proof_of(api, first) == ("aal1", ["pwd"])
    phone, added = await with_phone(api, first)
    assert list(added) == [*first, "recoveryCodes"]
    codes = added["recoveryCodes"]
    assert len(codes) == 10
    assert all(re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}[- ]?){6}", one) for one in codes)
    assert await proof_of(api, added) == ("aal2", ["pwd", "otp", "mfa"])
    gone = await api.refresh(other["refreshToken"])
    assert verdict(gone) == "401 session_revoked"

    answer = await signed_in(api)
    problem = answer.json()
    assert list(problem) == [*PROBLEM, "continuation", "methods", "expiresIn"]
    assert verdict(answer) == "401 second_factor_required"
    assert problem["continuation"].startswith("ww_ct_")
    assert problem["methods"] == ["totp", "recovery_code"]
    assert problem["expiresIn"] == 300
    assert answer.headers["www-authenticate"] == 'Bearer realm="watchword"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    alice = await api.id_of("alice")
    assert len(await api.engine.sessions.list_of_account(alice)) == 1

    body = {"continuation": problem["continuation"], "method": "totp"}
    wrong = await post(api, "/login/continue", {**body, "code": "000000"})
    assert verdict(wrong) == "401 second_factor_invalid"
    code = phone.code()
    tokens = good(await post(api, "/login/continue", {**body, "code": code}))
    assert list(tokens) == list(first)
    assert await proof_of(api, tokens) == ("aal2", ["pwd", "otp", "mfa"])
    again = {**body, "continuation": await continued(api), "code": code}
    assert verdict(await post(api, "/login/continue", again)) == (
        "401 second_factor_invalid"
    )
    spent = await post(api, "/login/continue", {**body, "code": phone.code()})
    assert verdict(spent) == "401 continuation_expired"

    shown = await factors_of(api, tokens)
    (factor,) = shown["factors"]
    assert list(factor) == ["id", "kind", "name", "createdAt", "usedAt"]
    assert (factor["kind"], shown["recoveryCodesLeft"]) == ("totp", 10)
    path, access = f"/factors/{factor['id']}", bearer(tokens["accessToken"])
    named = good(await call(api, "PATCH", path, {"name": "Phone"}, **access))
    assert named == {**factor, "name": "Phone"}
    assert (await call(api, "DELETE", path, **access)).status_code == 204
    assert (await call(api, "DELETE", path, **access)).status_code == 404
    assert await factors_of(api, tokens) == {"factors": [], "recoveryCodesLeft": 0}
    assert (await signed_in(api)).status_code == 200


async def test_recovery_codes_work_once_each_until_there_are_new_ones(
    api: LocalApi,
) -> None:
    """However they are typed. With them a lost phone is replaced."""
    _, added = await with_phone(api, good(await signed_in(api)))
    codes, tokens = added["recoveryCodes"], added

    async def by(code: str) -> Any:
        body = {"continuation": await continued(api), "method": "recovery_code"}
        return await post(api, "/login/continue", {**body, "code": code})

    for code in codes[:7]:
        tokens = good(await by(f" {code.lower().replace('-', '')} "))
    assert (await factors_of(api, tokens))["recoveryCodesLeft"] == 3
    assert await proof_of(api, tokens) == ("aal2", ["pwd", "otp", "mfa"])
    assert verdict(await by(codes[0])) == "401 second_factor_invalid"
    access = bearer(tokens["accessToken"])
    fresh = good(await post(api, "/factors/recovery-codes", **access))
    assert list(fresh) == ["recoveryCodes"]
    assert not set(fresh["recoveryCodes"]) & set(codes)
    assert verdict(await by(codes[7])) == "401 second_factor_invalid"
    (lost,) = (await factors_of(api, tokens))["factors"]
    phone, added = await with_phone(api, tokens)
    assert "recoveryCodes" not in added
    path, access = f"/factors/{lost['id']}", bearer(added["accessToken"])
    assert (await call(api, "DELETE", path, **access)).status_code == 204
    assert (await factors_of(api, added))["recoveryCodesLeft"] == 10
    body = {"continuation": await continued(api), "method": "totp"}
    good(await post(api, "/login/continue", {**body, "code": phone.code()}))


async def test_no_code_and_no_ticket_is_in_a_log(
    api: LocalApi,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Of a flow that works, and of one that is refused."""
    caplog.set_level(logging.DEBUG)
    phone, added = await with_phone(api, good(await signed_in(api)))
    key, tokens = await with_passkey(api, added)
    continuation, wrong = await continued(api), "ABCD-EFGH-JKMN-PQRS-TVWX-YZ01"
    body = {"continuation": continuation, "method": "recovery_code"}
    for text in (wrong, added["recoveryCodes"][0]):
        await post(api, "/login/continue", {**body, "code": text})
    proof = await by_passkey(api, key)
    await post(api, "/login/passkey", proof)
    await post(api, "/login/passkey", proof)
    audit = await api.engine.stores.audit.read(0, 100)
    said = f"{caplog.text}{capfd.readouterr()}{audit!r}"
    assert "/login/continue" in said
    secrets = [phone.secret, *added["recoveryCodes"], continuation, wrong]
    secrets += [proof["challenge"], proof["credential"]["response"]["signature"]]
    assert [one for one in secrets if one in said] == []
    assert tokens["refreshToken"] not in said


async def test_a_passkey_is_a_second_factor_and_a_sign_in_of_its_own(
    api: LocalApi,
) -> None:
    first = good(await signed_in(api))
    key, added = await with_passkey(api, first)
    factor = {**added["factor"], "createdAt": "", "id": ""}
    assert list(added) == [*first, "recoveryCodes", "factor"]
    assert factor == {
        "id": "",
        "kind": "passkey",
        "name": "Key ring",
        "createdAt": "",
        "usedAt": None,
        "synced": True,
    }
    continuation = await continued(api)
    proof = await by_passkey(api, key, {"continuation": continuation})
    assert list(proof["credential"])[:2] == ["id", "rawId"]
    body = {"continuation": continuation, "method": "passkey", **proof}
    tokens = good(await post(api, "/login/continue", body))
    assert await proof_of(api, tokens) == ("aal2", ["pwd", "swk", "user", "mfa"])
    # By itself, in a session as `/login` makes it.
    proof = await by_passkey(api, key)
    cookie = await post(api, "/login/passkey", {**proof, "transport": "cookie"})
    assert list(good(cookie)) == [one for one in first if one != "refreshToken"]
    assert "__Host-watchword=" in cookie.headers["set-cookie"]
    assert (await proof_of(api, cookie.json()))[0] == "aal2"
    replayed = await post(api, "/login/passkey", proof)
    assert verdict(replayed) == "401 continuation_expired"
    other = await by_passkey(api, key, {"continuation": await continued(api)})
    assert verdict(await post(api, "/login/passkey", other)) == (
        "401 continuation_expired"
    )
    (row,) = (await factors_of(api, tokens))["factors"]
    assert row["usedAt"] is not None


async def test_step_up_takes_every_proof_of_the_user(api: LocalApi) -> None:
    """`auth_time` is now; a wrong proof spends nothing; a retry gets what was given."""
    first = good(await signed_in(api))
    phone, tokens = await with_phone(api, first)
    recovery = tokens["recoveryCodes"][0]
    key, tokens = await with_passkey(api, tokens)

    async def proofs() -> AsyncIterator[dict[str, Any]]:
        access = bearer(tokens["accessToken"])
        yield {"method": "totp", "code": phone.code()}
        yield {"method": "recovery_code", "code": recovery}
        yield {"method": "passkey", **await by_passkey(api, key, **access)}
        yield {"method": "passkey", **await by_passkey(api, key)}

    async for proof in proofs():
        api.clock.advance(10_000)
        before = tokens["refreshToken"]
        wrong = {"refreshToken": before, "method": "totp", "code": "000000"}
        refused = await post(api, "/step-up", wrong)
        assert verdict(refused) == "401 second_factor_invalid"
        body = {"refreshToken": before, **proof}
        retry = {"Idempotency-Key": before[-20:]}
        lost = await post(api, "/step-up", body, **retry)
        retried = await post(api, "/step-up", body, **retry)
        tokens = good(lost)
        assert good(retried)["refreshToken"] == tokens["refreshToken"] != before
        me = good(await call(api, "GET", "/me", **bearer(tokens["accessToken"])))
        assert (me["auth_time"], me["acr"]) == (api.clock.now // 1000, "aal2")
    # Another user's passkey may answer an open challenge, and proves nothing here.
    await api.engine.accounts.register("bob", PASSWORD)
    theirs, _ = await with_passkey(api, good(await signed_in(api, "bob")))
    body = {"refreshToken": tokens["refreshToken"], "method": "passkey"}
    refused = await post(api, "/step-up", body | await by_passkey(api, theirs))
    assert verdict(refused) == "401 second_factor_invalid"


async def test_a_reset_is_no_way_round_the_factor(
    api: LocalApi, clock: ManualClock
) -> None:
    """The mailbox alone changes nothing, and is asked again with the factor."""
    mails = Mails(api)
    phone, _ = await with_phone(api, await confirmed(api, mails))
    await post(api, "/password/forgot", {"email": ANN})
    body = {"token": await mails.token(), "password": NEW}
    asked = await post(api, "/password/reset", body)
    assert verdict(asked) == "401 second_factor_required"
    assert "set-cookie" not in asked.headers
    body |= {"continuation": asked.json()["continuation"], "method": "totp"}
    wrong = await post(api, "/password/reset", {**body, "code": "000000"})
    assert verdict(wrong) == "401 second_factor_invalid"
    half = {**body, "continuation": ""}
    assert verdict(await post(api, "/password/reset", half)) == "400 invalid_request"
    # The continuation of a reset signs in nobody.
    login = {name: body[name] for name in ("continuation", "method")}
    answer = await post(api, "/login/continue", {**login, "code": phone.code()})
    assert verdict(answer) == "401 continuation_expired"
    body["code"] = phone.code()
    assert (await post(api, "/password/reset", body)).status_code == 204
    again = await post(api, "/password/reset", {**body, "code": phone.code()})
    assert verdict(again) == "400 confirmation_invalid"


# Where a factor is demanded


@pytest.mark.parametrize("road", ["mail", "operator"])
async def test_a_demanded_factor_is_enrolled_with_mailbox_or_operator(
    road: str, strict: LocalApi
) -> None:
    """The thief of a password enrols nothing."""
    api, mails = strict, Mails(strict)
    service = api.engine.self_service
    assert service is not None
    alice = await api.id_of("alice")
    await service.email_changes.assign(alice, ANN, confirmed=True, by=APP)
    answer = await signed_in(api)
    assert verdict(answer) == "401 second_factor_enrolment_required"
    assert answer.json()["methods"] == ["passkey", "totp"]
    body = {"continuation": answer.json()["continuation"]}
    bare = await post(api, "/login/enrol/totp", body)
    assert verdict(bare) == "400 confirmation_invalid"
    told = await post(api, "/login/enrol", body)
    assert (told.status_code, list(told.json())) == (202, ["message"])
    if road == "mail":
        token = await mails.token()
    else:
        factors = api.engine.second_factors.factors
        token = await factors.enrol_code(await api.id_of("alice"))
    with_token = {**body, "token": token}
    pending = good(await post(api, "/login/enrol/totp", with_token))
    assert list(pending) == ["factor", "secret", "uri", "qr"]
    phone = Phone(pending["secret"], api)
    confirm = {**body, "factor": pending["factor"], "code": phone.code()}
    tokens = good(await post(api, "/login/enrol/totp/confirm", confirm))
    assert len(tokens["recoveryCodes"]) == 10
    assert (await proof_of(api, tokens))[0] == "aal2"
    # Token and continuation are spent.
    again = {**confirm, "code": phone.code()}
    answer = await post(api, "/login/enrol/totp/confirm", again)
    assert verdict(answer) == "401 continuation_expired"
    (factor,) = (await factors_of(api, tokens))["factors"]
    path, access = f"/factors/{factor['id']}", bearer(tokens["accessToken"])
    kept = await call(api, "DELETE", path, **access)
    assert verdict(kept) == "409 last_factor"


async def test_a_passkey_is_enrolled_where_the_mailbox_was_just_shown(
    strict: LocalApi,
) -> None:
    """A registration asks for no other token: it goes on at once."""
    api, mails = strict, Mails(strict)
    body = {"email": ANN, "password": NEW}
    handle = good(await post(api, "/register", body))["registration"]
    body = {"token": await mails.token(), "registration": handle}
    answer = await post(api, "/register/confirm", {**body, "transport": "cookie"})
    assert verdict(answer) == "401 second_factor_enrolment_required"
    cookie = answer.headers["set-cookie"].partition(";")[0]
    asked = {"continuation": answer.json()["continuation"]}
    path = "/login/enrol/passkey"
    options = good(await post(api, f"{path}/options", asked, Cookie=cookie))
    key = Authenticator(ISSUER)
    made = {**asked, "challenge": options["challenge"], "name": "Laptop"}
    made["credential"] = key.create(options["publicKey"])
    answer = await post(api, path, made, Cookie=cookie)
    assert len(good(answer)["recoveryCodes"]) == 10
    assert "refreshToken" not in answer.json()
    assert (await proof_of(api, answer.json()))[0] == "aal2"


async def test_an_apps_own_user_has_all_of_it(
    tmp_path: Path, clock: ManualClock
) -> None:
    """By the same calls; a step-up by password asks the app, for this very user."""

    async def check(given: Credentials) -> Subject | None:
        return Subject({"ann": 7, "bob": 8}[given.username])

    served = {one.path for one in operations_for(own_users=True, pages=False)}
    for path in ("/login/continue", "/login/enrol/totp", "/factors", "/step-up"):
        assert BASE + path in served
    settings = serving(tmp_path, registration="closed", second_factor="required:boss")
    async with local_api(settings, clock, authenticate=check) as api:
        first = good(await signed_in(api, "ann"))
        phone, added = await with_phone(api, first)
        body = {"continuation": await continued(api, "ann"), "method": "totp"}
        tokens = good(
            await post(api, "/login/continue", {**body, "code": phone.code()})
        )
        assert (await proof_of(api, tokens))[0] == "aal2"
        assert len((await factors_of(api, tokens))["factors"]) == 1
        key, tokens = await with_passkey(api, tokens)
        proof = await by_passkey(api, key, **bearer(tokens["accessToken"]))
        body = {"refreshToken": tokens["refreshToken"], "method": "passkey", **proof}
        tokens = good(await post(api, "/step-up", body))
        body = {"refreshToken": tokens["refreshToken"], "method": "password"}
        body["password"] = "x"
        # Only the app knows whether the user of a passkey may still sign in.
        alone = await post(api, "/login/passkey/options", {})
        assert verdict(alone) == "404 not_found"
        other = await post(api, "/step-up", {**body, "username": "bob"})
        assert verdict(other) == "401 invalid_credentials"
        good(await post(api, "/step-up", {**body, "username": "ann"}))
        assert len(added["recoveryCodes"]) == 10


# What a continuation is bound to


class Caller:
    """A client as it authenticates, with a key or a browser of its own."""

    def __init__(
        self,
        api: LocalApi,
        client_id: str = "first-party",
        secret: str | None = None,
        *,
        prover: Prover | None = None,
        cookie: str = "",
    ) -> None:
        self._api = api
        self._client_id = client_id
        self._prover = prover
        self._cookie = cookie
        self._secret = secret

    async def send(self, path: str, **body: Any) -> httpx2.Response:
        headers = {}
        if self._secret is not None:
            pair = f"{self._client_id}:{self._secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if self._prover is not None:
            nonce = self._api.engine.proofs.nonces.current()
            headers["DPoP"] = self._prover.proof(
                "POST", f"{ISSUER}{BASE}{path}", self._api.clock.now, nonce=nonce
            )
        if self._cookie:
            headers["Cookie"] = f"{BINDS}={self._cookie}"
            body |= {"transport": "cookie"} if path == "/login" else {}
        return await post(
            self._api, path, {"clientId": self._client_id, **body}, **headers
        )


async def test_only_the_caller_that_began_goes_on(api: LocalApi) -> None:
    """Not another client, with another key, or in another browser."""
    phone, _ = await with_phone(api, good(await signed_in(api)))
    await api.engine.clients.add("pocket", confidential=False)
    _, secret = await api.engine.clients.add("shop", confidential=True)
    callers = {
        "plain": Caller(api),
        "pocket": Caller(api, "pocket"),
        "shop": Caller(api, "shop", secret),
        "key": Caller(api, prover=Prover()),
        "another key": Caller(api, prover=Prover(1)),
        "browser": Caller(api, cookie="A" * 43),
        "another browser": Caller(api, cookie="B" * 43),
    }
    passed = set()
    for begins, caller in callers.items():
        for goes_on, other in callers.items():
            login = {"username": "alice", "password": PASSWORD}
            begun = await caller.send("/login", **login)
            assert verdict(begun) == "401 second_factor_required"
            body = {"continuation": begun.json()["continuation"], "method": "totp"}
            code = phone.code()
            answer = await other.send("/login/continue", **body, code=code)
            if answer.status_code == 200:
                passed.add((begins, goes_on))
                continue
            assert verdict(answer) == "401 continuation_expired", (begins, goes_on)
            # It has spent nothing.
            assert (
                await caller.send("/login/continue", **body, code=code)
            ).status_code == 200
    # A browser may send the cookie of another tab.
    stale = {("plain", "browser"), ("plain", "another browser")}
    assert passed == {(one, one) for one in callers} | stale


async def test_a_continuation_is_void_with_the_secret_of_its_client(
    api: LocalApi,
) -> None:
    phone, _ = await with_phone(api, good(await signed_in(api)))
    _, secret = await api.engine.clients.add("shop", confidential=True)
    login = {"username": "alice", "password": PASSWORD}
    begun = await Caller(api, "shop", secret).send("/login", **login)
    body = {"continuation": begun.json()["continuation"], "method": "totp"}
    new = await api.engine.clients.rotate_secret("shop")
    answer = await Caller(api, "shop", new).send(
        "/login/continue", **body, code=phone.code()
    )
    assert verdict(answer) == "401 continuation_expired"


async def in_a_browser(api: LocalApi) -> Phone:
    """An authenticator app that was added in a session whose token is in a cookie.

    The session rises at once: with the hold-off of browsers it would not.
    """
    answer = await signed_in(api, transport="cookie")
    cookie = answer.headers["set-cookie"].partition(";")[0]
    access = bearer(answer.json()["accessToken"])
    pending = good(await post(api, "/factors/totp", **access))
    phone = Phone(pending["secret"], api)
    body = {"factor": pending["factor"], "code": phone.code()}
    path = "/factors/totp/confirm"
    forged = await post(api, path, body, Cookie=cookie)
    assert verdict(forged) == "403 csrf_rejected"
    answer = await post(api, path, body, Cookie=cookie, X_Requested_With="fetch")
    assert "refreshToken" not in good(answer)
    risen = answer.headers["set-cookie"].partition(";")[0]
    assert risen.startswith("__Host-watchword=ww_rt_")
    assert risen != cookie
    assert (await proof_of(api, answer.json()))[0] == "aal2"
    return phone


async def test_the_cookie_of_a_continuation_comes_and_goes(api: LocalApi) -> None:
    """No script reads it, and no other site causes it to be sent."""
    phone = await in_a_browser(api)
    begun = await signed_in(api, transport="cookie")
    (set_cookie,) = begun.headers.get_list("set-cookie")
    attributes = "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=300"
    assert re.fullmatch(rf"{BINDS}=[\w-]{{43}}; {attributes}", set_cookie)
    cookie = set_cookie.partition(";")[0]
    second = await signed_in(api, transport="cookie", cookie=cookie)
    # Two tabs share it: the second makes nothing void.
    assert second.headers["set-cookie"] == set_cookie
    body = {"continuation": begun.json()["continuation"], "method": "totp"}
    for wrong, code in (
        ({"Cookie": cookie, "Origin": "https://evil.example"}, "403 csrf_rejected"),
        ({"Cookie": f"{cookie}; {cookie}"}, "400 invalid_request"),
        ({}, "401 continuation_expired"),
    ):
        answer = await post(api, "/login/continue", {**body, "code": "1"}, **wrong)
        assert verdict(answer) == code
    good_body = {**body, "code": phone.code()}
    answer = await post(api, "/login/continue", good_body, Cookie=cookie)
    tokens, cookies = good(answer), answer.headers.get_list("set-cookie")
    assert "refreshToken" not in tokens
    assert [one.partition("=")[0] for one in cookies] == ["__Host-watchword", BINDS]
    assert cookies[1] == f"{BINDS}=; {attributes.replace('300', '0')}"


# What a lost answer costs


@pytest.mark.parametrize("kind", ["totp", "passkey"])
async def test_a_factor_whose_answer_was_lost_is_asked_for_again(
    kind: str, api: LocalApi
) -> None:
    """By its key: the same tokens, without the codes, which are shown once."""
    tokens = good(await signed_in(api))
    access = bearer(tokens["accessToken"])
    body: dict[str, Any] = {"refreshToken": tokens["refreshToken"]}
    if kind == "totp":
        path = "/factors/totp/confirm"
        pending = good(await post(api, "/factors/totp", **access))
        code = Phone(pending["secret"], api).code()
        body |= {"factor": pending["factor"], "code": code}
    else:
        path = "/factors/passkeys"
        options = good(await post(api, f"{path}/options", **access))
        made = Authenticator(ISSUER).create(options["publicKey"])
        body |= {"challenge": options["challenge"], "credential": made}
    first = good(await post(api, path, body, Idempotency_Key="k" * 20))
    again = good(await post(api, path, body, Idempotency_Key="k" * 20))
    assert len(first["recoveryCodes"]) == 10
    assert "recoveryCodes" not in again
    assert first["refreshToken"] == again["refreshToken"]
    assert (await proof_of(api, again))[0] == "aal2"
    shown = await factors_of(api, again)
    assert (len(shown["factors"]), shown["recoveryCodesLeft"]) == (1, 10)


# None gets round the factor


async def weak(api: LocalApi, name: str = "alice") -> Any:
    """The tokens of a session with a password alone, as a fault might leave one."""
    subject = await api.engine.accounts.get(name)
    tokens = await api.engine.sessions.start(
        Authenticated.by_password(
            subject.id, subject.roles, subject.epoch, at=api.clock.now
        ),
        SessionOptions(client_id="first-party"),
    )
    return {
        "accessToken": tokens.access_token,
        "refreshToken": tokens.refresh_token,
    }


RECENT_CALLS: Final = (
    ("POST", "/factors/totp", None),
    ("POST", "/factors/passkeys/options", None),
    ("POST", "/factors/recovery-codes", None),
    ("PATCH", "/factors/{id}", {"name": "Mine"}),
    ("DELETE", "/factors/{id}", None),
    ("POST", "/email/change", {"email": "thief@example.net"}),
    ("PATCH", "/account", {"username": "thief"}),
    ("DELETE", "/account", None),
)


async def test_what_a_thief_would_change_needs_the_factor_and_needs_it_now(
    api: LocalApi,
) -> None:
    """With a token of a password alone, or of yesterday, nothing is changed."""
    _, added = await with_phone(api, good(await signed_in(api)))
    (factor,) = (await factors_of(api, added))["factors"]
    thief = await weak(api)
    before = await api.engine.accounts.get("alice")
    for old in (False, True):
        tokens = thief
        if old:
            api.clock.advance(RECENT + SECOND)
            tokens = good(await api.refresh(added["refreshToken"]))
        for method, path, body in RECENT_CALLS:
            if old and path == "/account" and method == "PATCH":
                continue  # needs the factor, whenever it was
            answer = await call(
                api,
                method,
                path.format(id=factor["id"]),
                body,
                **bearer(tokens["accessToken"]),
            )
            assert verdict(answer) == "401 insufficient_user_authentication", path
            assert 'acr_values="aal2"' in answer.headers["www-authenticate"]
    body = {"refreshToken": thief["refreshToken"], "currentPassword": PASSWORD}
    refused = await post(api, "/password/change", {**body, "password": NEW})
    assert verdict(refused) == "401 insufficient_user_authentication"
    body = {"refreshToken": thief["refreshToken"], "method": "password"}
    risen = good(await post(api, "/step-up", {**body, "password": PASSWORD}))
    assert (await proof_of(api, risen))[0] == "aal1"
    answer = await call(api, "DELETE", "/account", **bearer(risen["accessToken"]))
    assert verdict(answer) == "401 insufficient_user_authentication"
    after = await api.engine.accounts.get("alice")
    assert (after.name, after.email, after.password_hash) == (
        before.name,
        before.email,
        before.password_hash,
    )


async def test_an_invitation_signs_in_nobody_without_the_factor(
    api: LocalApi,
) -> None:
    """Its roles are given to the account; the session needs the second step."""
    mails = Mails(api)
    await with_phone(api, await confirmed(api, mails))
    service = api.engine.self_service
    assert service is not None
    await service.invitations.invite(ANN, roles=("staff",))
    body = {"token": await mails.token(), "password": PASSWORD}
    answer = await post(api, "/invitations/accept", body)
    assert verdict(answer) == "401 second_factor_required"


# In the place of other tokens


async def test_no_ticket_is_a_token_anywhere(api: LocalApi) -> None:
    """At each call of the product, as the document has them: a new one is covered."""
    tokens = good(await signed_in(api))
    pending = good(await post(api, "/factors/totp", **bearer(tokens["accessToken"])))
    _, tokens = await with_phone(api, tokens)
    _, tokens = await with_passkey(api, tokens)
    access, options = bearer(tokens["accessToken"]), "/login/passkey/options"
    tickets = {
        "continuation": await continued(api),
        "open challenge": good(await post(api, options, {}))["challenge"],
        "challenge": good(await post(api, options, {}, **access))["challenge"],
        "pending": pending["factor"],
    }
    assert {one[:6] for one in tickets.values()} == {"ww_ct_", "ww_tf_", "ww_wc_"}
    for one in ENDPOINTS:
        path = re.sub("{(?!id).*?}", "x", one.path).format(id=tokens["sessionId"])
        for name, ticket in tickets.items():
            for answer in await _with(api, one, path, ticket):
                where = (one.method, path, name, answer.text[:200])
                assert not re.match(r'\{"access_?[tT]oken"', answer.text), where
                if one.bearer and "authorization" in answer.request.headers:
                    assert answer.status_code == 401, where
    # None of them has ended the session either.
    assert verdict(await api.refresh(tokens["refreshToken"])) == "200 ok"
    bearers = [one for one in ENDPOINTS if one.bearer]
    assert len(bearers) > 15, "the document says less than it did"


async def _with(
    api: LocalApi, one: Operation, path: str, ticket: str
) -> list[httpx2.Response]:
    """That call with the ticket as bearer token, in a cookie, as another token."""
    example = dict(one.example or {})
    kept = {key: text for key, text in example.items() if "ww_rt_" not in str(text)}
    ways: list[tuple[dict[str, str], dict[str, Any]]] = [
        (bearer(ticket), kept),
        ({"Cookie": f"__Host-watchword={ticket}", "X-Requested-With": "x"}, kept),
        ({"Cookie": f"__Host-watchword-sign-in={ticket}"}, kept),
        *(
            ({}, {**example, field: ticket})
            for field in ("refreshToken", "refresh_token", "token")
            if field in example
        ),
    ]
    kind = "json" if one.request_media_type == "application/json" else "data"
    answers = []
    for headers, body in ways:
        needed = one.request is not None and one.request_required
        sent: dict[str, Any] = {kind: body} if body or needed else {}
        call = api.client.request(one.method, path, headers=headers, **sent)
        answers.append(await call)
        api.client.cookies.clear()
    return answers


# Whatever is sent


class Good:
    """What each new call takes, until it is spent or five minutes are over.

    Alice has a passkey and an authenticator app, and bob has to enrol a factor.
    """

    def __init__(self, api: LocalApi, key: Authenticator) -> None:
        self._api = api
        self._key = key
        self.access: dict[str, str] = {}
        self.bodies: dict[str, Any] = {}
        self.factor = ""

    async def renew(self) -> None:
        api, key = self._api, self._key
        api.clock.advance(HOUR)  # throttles are another test's
        holder = good(await post(api, "/login/passkey", await by_passkey(api, key)))
        self.access = bearer(holder["accessToken"])
        await self._drop_added(holder)
        spent = {"refreshToken": holder["refreshToken"]}
        pending = good(await post(api, "/factors/totp", **self.access))
        begun = {"continuation": await continued(api)}
        enrols = await self._enrols()
        first = good(await post(api, "/login/enrol/totp", enrols))
        path = "/login/enrol/passkey"
        self.bodies = {
            "/login/continue": begun
            | {"method": "passkey"}
            | await by_passkey(api, key, begun),
            "/login/passkey": await by_passkey(api, key),
            "/login/passkey/options": begun,
            "/login/enrol": enrols,
            "/login/enrol/totp": enrols,
            "/login/enrol/totp/confirm": enrols | self._wrong(first),
            f"{path}/options": enrols,
            path: enrols | await self._made(f"{path}/options", enrols),
            "/factors/totp/confirm": spent | self._wrong(pending),
            "/factors/passkeys": spent
            | await self._made("/factors/passkeys/options", **self.access),
            "/factors/{id}": {"name": "Phone"},
            # What a good token adds to it is in tests/test_reset_by_factor.py.
            "/password/reset": {"token": "ww_cf_", "password": NEW, "code": "000000"}
            | {"method": "passkey", "challenge": "ww_wc_", "credential": {}}
            | begun,
            "/step-up": spent
            | {"method": "passkey"}
            | await by_passkey(api, key, **self.access),
        }

    @staticmethod
    def _wrong(pending: Any) -> dict[str, str]:
        return {"factor": pending["factor"], "code": "000000"}

    async def _drop_added(self, tokens: Any) -> None:
        """What one call has added may not keep the next from it: there is a bound."""
        shown = (await factors_of(self._api, tokens))["factors"]
        self.factor = shown[0]["id"]
        for one in shown[2:]:
            path = f"/factors/{one['id']}"
            await call(self._api, "DELETE", path, **self.access)

    async def _enrols(self) -> dict[str, str]:
        factors = self._api.engine.second_factors.factors
        bob = await self._api.id_of("bob")
        await factors.reset(bob)
        await factors.require(bob)
        answer = await signed_in(self._api, "bob")
        assert verdict(answer) == "401 second_factor_enrolment_required"
        token = await factors.enrol_code(bob)
        return {"continuation": answer.json()["continuation"], "token": token}

    async def _made(self, path: str, body: Any = None, **headers: str) -> Any:
        options = good(await post(self._api, path, body, **headers))
        made = Authenticator(ISSUER).create(options["publicKey"])
        return {"challenge": options["challenge"], "credential": made, "name": "Key"}


async def test_no_value_of_any_field_is_a_fault_of_ours(api: LocalApi) -> None:
    """At each new call, with a body that is good but for one field.

    Each is taken or refused with a code. `credential` is an object of anything.
    """
    _, tokens = await with_phone(api, good(await signed_in(api)))
    key, _ = await with_passkey(api, tokens)
    await api.engine.accounts.register("bob", PASSWORD)
    given = Good(api, key)
    operations = {
        one.path.removeprefix(BASE): one
        for one in (*session.ENDPOINTS, *factors.ENDPOINTS, password.RESET)
        if one.request is not None
    }
    await given.renew()
    faults = []
    for path in given.bodies:
        one = operations[path]
        changes: list[dict[str, Any]] = [{}]
        for name in (*given.bodies[path], "clientId"):
            values = CREDENTIALS if name == "credential" else WRONG
            changes += ({name: value} for value in values)
        for tried, change in enumerate(changes):
            if tried % 6 == 0:  # the oldest of it is three minutes old by then
                await given.renew()
            answer = await api.client.request(
                one.method,
                one.path.format(id=given.factor),
                content=json.dumps(given.bodies[path] | change),
                headers={"Content-Type": "application/json", **given.access},
            )
            api.clock.advance(FACTOR_ACCOUNT_INTERVAL)
            api.client.cookies.clear()
            if not change and "code" not in given.bodies[path]:
                assert answer.status_code in (200, 201, 202), (path, answer.text)
            if answer.status_code == 429 or answer.status_code >= 500:
                faults.append((path, change, answer.text))
            if answer.status_code < 400:
                await given.renew()
    assert faults == []
