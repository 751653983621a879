"""Second factors over HTTP: each flow as a story, and how each is refused.

The rules are tested with the engine. Here: the members and statuses that programs are
written against, what may go on with what, and that no call goes past the factor.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.authenticator import Authenticator
from tests.scenarios.api import LocalApi, bearer, local_api, settings_for
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
from tests.server.test_account_calls import Mails, confirmed
from tests.surfaces.proofs import Prover
from watchword import Credentials, Subject
from watchword.config import Settings
from watchword.core.limits import CONTINUATION_LIFE, RECENT
from watchword.testing import ManualClock

ISSUER: Final = "http://localhost:8000"
NEW: Final = "five other words make one"
ANN: Final = "ann@example.org"
PROBLEM: Final = ["type", "title", "status", "detail", "code"]
BINDS: Final = "__Host-watchword-continuation"


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
        lost = await post(api, "/step-up", body, Idempotency_Key="k" * 20)
        retried = await post(api, "/step-up", body, Idempotency_Key="k" * 20)
        tokens = good(lost)
        assert good(retried)["refreshToken"] == tokens["refreshToken"] != before
        me = good(await call(api, "GET", "/me", **bearer(tokens["accessToken"])))
        assert (me["auth_time"], me["acr"]) == (api.clock.now // 1000, "aal2")


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
    await api.engine.accounts.set_email(await api.id_of("alice"), ANN, confirmed=True)
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
        good(await post(api, "/login/passkey", await by_passkey(api, key)))
        body = {"refreshToken": tokens["refreshToken"], "method": "password"}
        body["password"] = "x"
        other = await post(api, "/step-up", {**body, "username": "bob"})
        assert verdict(other) == "401 invalid_credentials"
        good(await post(api, "/step-up", {**body, "username": "ann"}))
        assert len(added["recoveryCodes"]) == 10


# What a continuation is bound to


@pytest.mark.parametrize(
    ("begun", "changed"),
    [
        ("public", {"clientId": "first-party"}),
        ("public", {"clientId": "other"}),
        ("secret", {"clientId": "shop", "Authorization": ""}),
        ("key", {"DPoP": ""}),
        ("key", {"DPoP": "another"}),
        ("plain", {"DPoP": "another"}),
        ("cookie", {"Cookie": ""}),
        ("cookie", {"Cookie": f"{BINDS}={'A' * 43}"}),
        ("cookie", {"Origin": "https://evil.example"}),
        ("plain", {"later": "1"}),
    ],
)
async def test_only_the_caller_that_began_goes_on(
    begun: str, changed: dict[str, str], api: LocalApi
) -> None:
    """Another client, key or browser, or this one too late: nothing is spent by it."""
    phone, _ = await with_phone(api, good(await signed_in(api)))
    callers = await _callers(api)
    body, headers = callers[begun]

    def sent(path: str, given: dict[str, str]) -> dict[str, str]:
        given = {name: value for name, value in given.items() if value}
        if "DPoP" in given:
            given["DPoP"] = _proof(api, path, given["DPoP"])
        return given

    start = sent("/login", headers)
    answer = await signed_in(api, **body, **{}) if not start else None
    if answer is None:
        login = {"username": "alice", "password": PASSWORD, **body}
        answer = await post(api, "/login", login, **start)
    assert verdict(answer) == "401 second_factor_required"
    kept = dict(headers)
    if begun == "cookie":
        name, _, rest = answer.headers["set-cookie"].partition("=")
        assert name == BINDS
        assert rest.endswith("Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=300")
        kept["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
    else:
        assert "set-cookie" not in answer.headers
    go_on = {
        "continuation": answer.json()["continuation"],
        "clientId": body.get("clientId", "first-party"),
        "method": "totp",
    }
    path = "/login/continue"
    other = {k: v for k, v in changed.items() if k not in ("clientId", "later")}
    if "later" in changed:
        api.clock.advance(CONTINUATION_LIFE + 1)
    else:
        bad = {**go_on, "clientId": changed.get("clientId", go_on["clientId"])}
        bad["code"] = phone.code()
        refused = await post(api, path, bad, **sent(path, kept | other))
        assert refused.status_code in (401, 403), refused.text
        assert verdict(refused) in (
            "401 continuation_expired",
            "401 invalid_client",
            "403 csrf_rejected",
        )
    good_body = {**go_on, "code": phone.code()}
    answer = await post(api, path, good_body, **sent(path, kept))
    if "later" in changed:
        assert verdict(answer) == "401 continuation_expired"
        return
    tokens = good(answer)
    cookies = answer.headers.get_list("set-cookie")
    assert ("refreshToken" in tokens) is (begun != "cookie")
    assert [one.partition("=")[0] for one in cookies] == (
        ["__Host-watchword", BINDS] if begun == "cookie" else []
    )
    assert all("Max-Age=0" in one for one in cookies if one.startswith(BINDS))
