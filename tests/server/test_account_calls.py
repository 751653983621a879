"""The calls by which accounts serve themselves, as they are asked over HTTP.

What the engine promises of them is tested with the engine. Here: who may call, what is
refused before anything is spent, and that a request tells the mail nothing.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.mail.mailbox import Mailbox
from tests.patience import until
from tests.scenarios.api import (
    BASE,
    PASSWORD,
    Api,
    LocalApi,
    bearer,
    code_of,
    lifespan,
    local_api,
    settings_for,
)
from tests.server.live import Live, request
from tests.surfaces.proofs import Prover
from watchword.config import Settings
from watchword.server.app import make_app
from watchword.server.embedded import EmbeddedApp, merge_into, routes_to
from watchword.server.endpoints import account
from watchword.sign_in.own_users import Credentials
from watchword.testing import ManualClock

ISSUER: Final = "http://127.0.0.1:8000"
NEW: Final = "five other words make one"
ANN: Final = "ann@example.org"


class Mails:
    """What the server has sent: the files in the folder of a developer."""

    def __init__(self, api: LocalApi) -> None:
        self._api = api
        self._mailbox = Mailbox(api.engine.settings.data)

    async def all(self) -> list[EmailMessage]:
        sender = self._api.engine.mail
        assert sender is not None
        await sender.send_due()
        await sender.close()
        folder = self._api.engine.settings.outbox_folder
        return [
            message_from_bytes(file.read_bytes(), EmailMessage, policy=SMTP)
            for file in folder.glob("*.eml")
        ]

    async def token(self, to: str = ANN) -> str:
        """That of the next mail to this address that has one."""
        await self.all()
        return self._mailbox.token_to(to)


def serving(folder: Path, **given: Any) -> Settings:
    plain = settings_for(folder, "memory")
    asked = {"issuer": ISSUER, "registration": "open", **given}
    return plain.model_copy(update=asked)


@pytest_asyncio.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[LocalApi]:
    async with local_api(serving(tmp_path), clock) as opened:
        yield opened


@pytest.fixture
def mails(api: LocalApi) -> Mails:
    return Mails(api)


async def call(
    api: Api, method: str, path: str, body: Any = None, **headers: str
) -> httpx2.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await api.client.request(method, BASE + path, json=body, headers=given)
    api.client.cookies.clear()  # a test sends the cookies that it means to send
    return answer


async def post(api: Api, path: str, body: Any, **headers: str) -> httpx2.Response:
    return await call(api, "POST", path, body, **headers)


def verdict(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {code_of(answer)}"


async def registered(api: LocalApi, email: str = ANN, **more: str) -> str:
    """The handle of a registration that waits."""
    body = {"email": email, "password": PASSWORD, **more}
    answer = await post(api, "/register", body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["registration"])


async def confirmed(api: LocalApi, mails: Mails, email: str = ANN) -> Any:
    """A new account, signed in."""
    handle = await registered(api, email)
    body = {"token": await mails.token(email), "registration": handle}
    answer = await post(api, "/register/confirm", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


# Registration


async def test_a_user_registers_and_is_signed_in(api: LocalApi, mails: Mails) -> None:
    """The fields and statuses, exactly: programs are written against them."""
    answer = await post(api, "/register", {"email": ANN, "password": PASSWORD})
    told = answer.json()
    assert answer.status_code == 202
    assert list(told) == ["message", "registration"]
    assert told["message"] == ("If this address can be used, a message is on its way.")
    assert re.fullmatch(r"ww_rg_[\w-]{43}", told["registration"])
    assert answer.headers["cache-control"] == "no-store"
    body = {"token": await mails.token(), "registration": told["registration"]}
    answer = await post(api, "/register/confirm", body)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    login = await api.login(ANN)
    assert list(tokens) == list(login)
    shown = await call(api, "GET", "/account", **bearer(tokens["accessToken"]))
    claims = (await call(api, "GET", "/me", **bearer(tokens["accessToken"]))).json()
    assert shown.json() == {
        "id": claims["sub"],
        "username": None,
        "email": ANN,
        "emailConfirmed": True,
        "locale": "en",
        "createdAt": "2027-01-15T08:00:00Z",
    }
    again = await post(api, "/register/confirm", body)
    assert verdict(again) == "400 confirmation_invalid"


async def test_another_device_confirms_by_the_password(
    api: LocalApi, mails: Mails
) -> None:
    await registered(api)
    body = {"token": await mails.token()}
    for wrong in ({}, {"registration": "ww_rg_" + "A" * 43}, {"password": "wrong"}):
        answer = await post(api, "/register/confirm", body | wrong)
        expected = "401 invalid_credentials" if wrong else "400 invalid_request"
        assert verdict(answer) == expected
    answer = await post(api, "/register/confirm", body | {"password": PASSWORD})
    assert answer.status_code == 201


async def test_register_and_forgot_answer_the_same_for_every_address(
    api: LocalApi, mails: Mails
) -> None:
    """Byte for byte, headers too, but for handle and id. So does a resend."""
    await confirmed(api, mails)
    handles = [await registered(api, email) for email in (ANN, "bob@example.org")]
    for path, bodies in {
        "/register": [
            {"email": email, "password": PASSWORD} for email in (ANN, "eve@example.org")
        ],
        "/password/forgot": [{"email": email} for email in (ANN, "x@example.org")],
        "/register/resend": [
            {"registration": handle} for handle in (*handles, "ww_rg_" + "A" * 43, "")
        ],
    }.items():
        answers = [await post(api, path, body) for body in bodies]
        for answer in answers:
            del answer.headers["x-request-id"]
        seen = {
            (
                answer.status_code,
                re.sub(r"ww_rg_[\w-]{43}", "ww_rg_…", answer.text),
                tuple(sorted(answer.headers.items())),
            )
            for answer in answers
        }
        assert len(seen) == 1, seen
        assert answers[0].status_code == 202


# Options of the session: as of a login

WRONG_OPTIONS: Final[dict[str, tuple[dict[str, Any], dict[str, str], str]]] = {
    "another client": ({"clientId": "unknown"}, {}, "401 invalid_client"),
    "a scope too many": ({"scope": "account admin"}, {}, "400 invalid_scope"),
    "another resource": ({"resource": ["https://x"]}, {}, "400 invalid_target"),
    "no transport": ({"transport": "header"}, {}, "400 invalid_request"),
    "a foreign page": (
        {"transport": "cookie"},
        {"Origin": "https://evil.example"},
        "403 csrf_rejected",
    ),
    "no proof": ({"clientId": "keyed"}, {}, "400 invalid_dpop_proof"),
    "a bad proof": ({}, {"DPoP": "x"}, "400 invalid_dpop_proof"),
    "a wrong secret": ({}, {"Authorization": "Basic c2hvcDp4"}, "401 invalid_client"),
}


@pytest.mark.parametrize("path", ["/register/confirm", "/invitations/accept"])
async def test_a_wrong_option_spends_no_token(
    api: LocalApi, mails: Mails, path: str
) -> None:
    clients = api.engine.clients
    await clients.add("keyed", confidential=False, dpop=True)
    await clients.add("shop", confidential=True)
    body = await with_token(api, mails, path)
    for name, (fields, headers, expected) in WRONG_OPTIONS.items():
        answer = await post(api, path, body | fields, **headers)
        assert (name, verdict(answer)) == (name, expected)
    assert (await post(api, path, body)).status_code == 201


async def with_token(api: LocalApi, mails: Mails, path: str) -> dict[str, Any]:
    """A good body of either call that makes an account."""
    if path == "/register/confirm":
        handle = await registered(api)
        return {"token": await mails.token(), "registration": handle}
    service = api.engine.self_service
    assert service is not None
    await service.invitations.invite(ANN, roles=["editor"])
    return {"token": await mails.token(), "password": PASSWORD}


@pytest.mark.parametrize("path", ["/register/confirm", "/invitations/accept"])
async def test_a_confirmation_takes_what_a_login_takes(
    api: LocalApi, mails: Mails, path: str
) -> None:
    """A cookie, a client of its own, and less than the client may have."""
    _, secret = await api.engine.clients.add(
        "shop", confidential=True, scope=["read", "write"]
    )
    basic = httpx2.BasicAuth("shop", secret or "")
    body = await with_token(api, mails, path)
    answer = await api.client.post(
        BASE + path, json=body | {"scope": "read"}, auth=basic
    )
    assert answer.status_code == 201
    assert answer.json()["scope"] == "read"
    shown = await call(api, "GET", "/me", **bearer(answer.json()["accessToken"]))
    assert shown.json()["client_id"] == "shop"


async def test_a_page_is_signed_in_by_a_cookie(api: LocalApi, mails: Mails) -> None:
    body = await with_token(api, mails, "/register/confirm")
    page = {"Origin": ISSUER, "Sec_Fetch_Site": "same-origin"}
    answer = await post(
        api, "/register/confirm", body | {"transport": "cookie"}, **page
    )
    assert "refreshToken" not in answer.json()
    assert answer.headers["set-cookie"].startswith("__Host-watchword=ww_rt_")


async def test_a_confirmation_binds_the_session_to_a_key(
    api: LocalApi, mails: Mails
) -> None:
    """A proof without the nonce spends nothing, as at a login."""
    body, prover = await with_token(api, mails, "/register/confirm"), Prover()
    url, nonce = f"{ISSUER}{BASE}/register/confirm", None
    told = []
    for _ in range(2):
        proof = prover.proof("POST", url, api.clock.now, nonce=nonce)
        answer = await post(api, "/register/confirm", body, DPoP=proof)
        told.append(answer.json().get("code") or answer.json()["tokenType"])
        nonce = answer.headers["dpop-nonce"]
    assert told == ["use_dpop_nonce", "DPoP"]


# What is closed


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"registration": "closed"}, {"/password/forgot"}),
        ({"registration": "invited"}, {"/password/forgot", "/invitations/accept"}),
        (
            {"issuer": "https://auth.example"},
            {"/register/confirm", "/invitations/accept"},
        ),
    ],
    ids=["closed", "invited", "no mail"],
)
async def test_what_is_closed_is_not_found(
    tmp_path: Path, clock: ManualClock, given: dict[str, str], found: set[str]
) -> None:
    """Where nobody registers, and where no mail can be sent: whatever is sent."""
    async with local_api(serving(tmp_path, **given), clock) as api:
        answers = {
            path: {verdict(await post(api, path, one)) for one in (body, None, {})}
            for path, body in {
                "/register": {"email": ANN, "password": PASSWORD},
                "/register/resend": {"registration": "ww_rg_x"},
                "/register/confirm": {"token": "ww_cf_x", "registration": "ww_rg_x"},
                "/invitations/accept": {"token": "ww_cf_x", "password": PASSWORD},
                "/password/forgot": {"email": ANN},
            }.items()
        }
        here = {path for path, said in answers.items() if said != {"404 not_found"}}
        assert here == found, answers
        assert "/api/auth/register" in (await api.client.get("/openapi.json")).text


# Passwords, addresses, the account


async def test_a_reset_ends_sessions_and_signs_nobody_in(
    api: LocalApi, mails: Mails
) -> None:
    tokens = await confirmed(api, mails)
    assert (await post(api, "/password/forgot", {"email": ANN})).status_code == 202
    body = {"token": await mails.token(), "password": NEW}
    answer = await post(api, "/password/reset", body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    assert code_of(await api.secure(tokens["accessToken"])) == "token_revoked"
    assert code_of(await api.refresh(tokens["refreshToken"])) == "session_revoked"
    assert verdict(await api.try_login(ANN, PASSWORD)) == "401 invalid_credentials"
    assert (await api.try_login(ANN, NEW)).status_code == 200
    again = await post(api, "/password/reset", body)
    assert verdict(again) == "400 confirmation_invalid"


async def test_a_rejected_password_spends_no_reset(api: LocalApi, mails: Mails) -> None:
    await confirmed(api, mails)
    await post(api, "/password/forgot", {"email": ANN})
    token = await mails.token()
    short = await post(api, "/password/reset", {"token": token, "password": "x"})
    assert verdict(short) == "422 password_rejected"
    good = await post(api, "/password/reset", {"token": token, "password": NEW})
    assert good.status_code == 204


async def test_a_password_is_changed_and_this_session_goes_on(
    api: LocalApi, mails: Mails
) -> None:
    here, there = await confirmed(api, mails), await api.login(ANN)
    body = {"currentPassword": PASSWORD, "password": NEW}
    mine = body | {"refreshToken": here["refreshToken"]}
    wrong = await post(api, "/password/change", mine | {"currentPassword": "wrong"})
    assert verdict(wrong) == "401 invalid_credentials"
    key = {"Idempotency_Key": "a-key-of-this-change-01"}
    answer = await post(api, "/password/change", mine, **key)
    assert answer.status_code == 200
    assert list(answer.json()) == list(there)
    assert answer.json()["sessionId"] == here["sessionId"]
    retried = await post(api, "/password/change", mine, **key)
    assert retried.json()["refreshToken"] == answer.json()["refreshToken"]
    assert code_of(await api.secure(there["accessToken"])) == "token_revoked"
    last = {
        "refreshToken": answer.json()["refreshToken"],
        "currentPassword": NEW,
        "password": PASSWORD,
        "keepSession": False,
    }
    ended = await post(api, "/password/change", last)
    assert (ended.status_code, ended.content) == (204, b"")
    assert "set-cookie" not in ended.headers
    assert code_of(await api.refresh(last["refreshToken"])) == "session_revoked"


@pytest.mark.parametrize("path", ["/step-up", "/password/change"])
async def test_a_browser_proves_itself_by_its_cookie(
    api: LocalApi, mails: Mails, path: str
) -> None:
    """With the header against CSRF, and from an origin of ours, as /refresh."""
    await confirmed(api, mails)
    page = {"Origin": ISSUER, "X_Requested_With": "fetch"}
    login = {"username": ANN, "password": PASSWORD, "transport": "cookie"}
    cookie = (await post(api, "/login", login)).headers["set-cookie"].split(";")[0]
    body: dict[str, Any] = {"currentPassword": PASSWORD, "password": NEW}
    if path == "/step-up":
        body = {"method": "password", "password": PASSWORD}
    for headers in ({"Origin": ISSUER}, page | {"Origin": "https://evil.example"}):
        answer = await post(api, path, body, Cookie=cookie, **headers)
        assert verdict(answer) == "403 csrf_rejected"
    assert verdict(await post(api, path, body)) == "400 invalid_request"
    assert verdict(await post(api, path, body, **page)) == "401 refresh_invalid"
    api.clock.advance(60_000)  # beyond the time in which tabs share a token
    answer = await post(api, path, body, Cookie=cookie, **page)
    assert answer.status_code == 200, answer.text
    assert "refreshToken" not in answer.json()
    cookie = answer.headers["set-cookie"].split(";")[0]
    assert cookie.startswith("__Host-watchword=ww_rt_")
    if path == "/password/change":
        body = {"currentPassword": NEW, "password": PASSWORD, "keepSession": False}
        ended = await post(api, path, body, Cookie=cookie, **page)
        assert ended.status_code == 204
        assert ended.headers["set-cookie"].startswith("__Host-watchword=; ")
        assert ended.headers["clear-site-data"] == '"cookies", "storage"'


RECENT: Final = [
    ("POST", "/email/change", {"email": "ann@example.net"}, 202),
    ("DELETE", "/account", None, 204),
]


@pytest.mark.parametrize("step", RECENT, ids=lambda step: step[1])
async def test_what_a_thief_would_do_asks_for_a_recent_proof(
    api: LocalApi, mails: Mails, step: tuple[str, str, Any, int]
) -> None:
    """A step-up is one; a refresh is none. RFC 9470 says what to ask for."""
    method, path, body, status = step
    tokens = await confirmed(api, mails)
    api.clock.advance(301_000)
    fresh = (await api.refresh(tokens["refreshToken"])).json()
    answer = await call(api, method, path, body, **bearer(fresh["accessToken"]))
    assert verdict(answer) == "401 insufficient_user_authentication"
    assert 'max_age="300"' in answer.headers["www-authenticate"]
    asked = {"method": "password", "password": PASSWORD}
    asked["refreshToken"] = fresh["refreshToken"]
    proved = (await post(api, "/step-up", asked)).json()
    good = bearer(proved["accessToken"])
    answer = await call(api, method, path, body, **good)
    assert answer.status_code == status, answer.text
    if path == "/account":
        assert code_of(await api.secure(proved["accessToken"])) == "token_revoked"
        assert verdict(await api.try_login(ANN, PASSWORD)) == "401 invalid_credentials"


async def test_an_address_moves_and_its_owner_takes_it_back(
    api: LocalApi, mails: Mails
) -> None:
    tokens = await confirmed(api, mails)
    mine = bearer(tokens["accessToken"])
    new = "ann@example.net"
    answer = await post(api, "/email/change", {"email": new}, **mine)
    assert (answer.status_code, list(answer.json())) == (202, ["message"])
    body = {"token": await mails.token(new)}
    assert verdict(await post(api, "/email/confirm", body)) == "400 invalid_request"
    wrong = await post(api, "/email/confirm", body | {"password": "wrong"})
    assert verdict(wrong) == "401 invalid_credentials"
    bob = await confirmed(api, mails, "bob@example.org")
    other = await post(api, "/email/confirm", body, **bearer(bob["accessToken"]))
    assert verdict(other) == "400 confirmation_invalid"
    done = await post(api, "/email/confirm", body, **mine)
    assert (done.status_code, done.content) == (204, b"")
    shown = await call(api, "GET", "/account", **mine)
    assert (shown.json()["email"], shown.json()["emailConfirmed"]) == (new, True)
    taken = await post(
        api, "/email/change", {"email": new}, **bearer(bob["accessToken"])
    )
    assert verdict(taken) == "409 email_taken"
    way_back = {"token": await mails.token()}
    back = await post(api, "/email/revert", way_back)
    assert (back.status_code, back.content) == (204, b"")
    assert code_of(await api.secure(tokens["accessToken"])) == "token_revoked"
    assert verdict(await api.try_login(ANN, PASSWORD)) == "401 invalid_credentials"


async def test_a_user_takes_a_name_and_lets_it_go(api: LocalApi, mails: Mails) -> None:
    mine = bearer((await confirmed(api, mails))["accessToken"])
    for body, expected in {
        '{"username":"ann","locale":"de"}': ("ann", "de"),
        '{"username":null}': (None, "de"),
        "{}": (None, "de"),
    }.items():
        answer = await api.client.patch(
            f"{BASE}/account",
            content=body,
            headers={"Content-Type": "application/json", **mine},
        )
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert (shown["username"], shown["locale"]) == expected
        assert shown == (await call(api, "GET", "/account", **mine)).json()
    for name, expected_code in {
        "alice": "409 name_taken",
        "root": "400 name_invalid",
    }.items():
        answer = await call(api, "PATCH", "/account", {"username": name}, **mine)
        assert verdict(answer) == expected_code


async def test_the_last_administrator_stays(api: LocalApi) -> None:
    await api.engine.accounts.set_roles(await api.id_of("alice"), ["admin"])
    mine = bearer((await api.login())["accessToken"])
    assert verdict(await call(api, "DELETE", "/account", **mine)) == "409 last_admin"


# Every call

BODIES: Final[dict[str, dict[str, Any]]] = {
    "/register": {
        "email": ANN,
        "password": PASSWORD,
        "username": "ann",
        "locale": "de",
    },
    "/register/resend": {"registration": "ww_rg_x"},
    "/register/confirm": {"token": "ww_cf_x", "registration": "ww_rg_x"},
    "/invitations/accept": {"token": "ww_cf_x", "password": PASSWORD},
    "/password/forgot": {"email": ANN},
    "/password/reset": {"token": "ww_cf_x", "password": PASSWORD},
    "/password/change": {
        "refreshToken": "ww_rt_x",
        "currentPassword": PASSWORD,
        "password": NEW,
    },
    "/email/change": {"email": ANN},
    "/email/confirm": {"token": "ww_cf_x", "password": PASSWORD},
    "/email/revert": {"token": "ww_cf_x"},
}
"""A body of each call, well-formed."""
BEARERS: Final = [
    ("POST", "/email/change", BODIES["/email/change"]),
    ("POST", "/email/confirm", BODIES["/email/confirm"]),
    ("GET", "/account", None),
    ("PATCH", "/account", {"locale": "de"}),
    ("DELETE", "/account", None),
    ("GET", "/consents", None),
    ("GET", "/consents/{clientId}", None),
    ("DELETE", "/consents/{clientId}", None),
]
"""The calls that take an access token."""
CALLS: Final = [*BEARERS, *(("POST", path, body) for path, body in BODIES.items())]


def test_the_tables_have_every_call() -> None:
    declared = {(one.method, one.path.removeprefix(BASE)) for one in account.ENDPOINTS}
    assert {(method, path) for method, path, _ in CALLS} == declared
    takes_a_token = {
        one.path.removeprefix(BASE) for one in account.ENDPOINTS if one.bearer
    }
    assert {path for _, path, _ in BEARERS} == takes_a_token


async def test_another_method_is_refused_and_all_right_ones_are_named(
    api: LocalApi,
) -> None:
    answer = await call(api, "PUT", "/account")
    assert verdict(answer) == "405 method_not_allowed"
    allowed = set(re.split(", *", answer.headers["allow"]))
    assert allowed == {"GET", "HEAD", "PATCH", "DELETE"}
    assert (await call(api, "HEAD", "/account")).status_code == 401


@pytest.mark.parametrize("path", ["/step-up", "/password/change"])
async def test_only_sessions_of_first_party_are_proved_anew(
    api: LocalApi, path: str
) -> None:
    await api.engine.clients.add("phone", confidential=False)
    login = {"username": "alice", "password": PASSWORD, "clientId": "phone"}
    theirs = (await post(api, "/login", login)).json()
    body = {
        "/step-up": {"method": "password", "password": PASSWORD},
        "/password/change": BODIES["/password/change"],
    }[path] | {"refreshToken": theirs["refreshToken"]}
    for more in ({}, {"clientId": "phone"}):
        assert verdict(await post(api, path, body | more)) == "401 refresh_invalid"
    refreshed = {"refreshToken": theirs["refreshToken"], "clientId": "phone"}
    assert (await post(api, "/refresh", refreshed)).status_code == 200


OF_ANY_TYPE: Final = (
    None,
    True,
    1,
    1.5,
    "",
    "x",
    "\0",
    "\ud800",
    "é" * 300,
    "a" * 2000,
)
OF_NO_TEXT: Final[tuple[Any, ...]] = (None, True, 1, 1.5, [], ["x"], {}, {"a": "x"})
OF_TEXT: Final = ("", "x", "\0", "\ud800", "é" * 300, "a" * 2000, "A" * 30_000)
WRONG: Final = (*OF_NO_TEXT, *OF_TEXT)
FINE: Final = (200, 201, 202, 204, 400, 401, 403, 404, 413, 422)


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_no_value_of_any_field_is_a_fault_of_ours(
    api: LocalApi, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Each is taken or refused with a code, as is a field that is missing."""
    headers = {"Content-Type": "application/json"}
    faults = []
    given = body or {}
    for name in (*given, "transport", "scope", "resource", "clientId", "keepSession"):
        for value in WRONG:
            if (method, path, body) in BEARERS:
                headers |= bearer((await api.login())["accessToken"])
            sent = json.dumps({**given, name: value})
            answer = await api.client.request(
                method, BASE + path, content=sent, headers=headers
            )
            api.clock.advance(3_600_000)  # throttles are another test's
            if answer.status_code not in FINE:
                faults.append((name, value, answer.text))
            elif answer.status_code >= 400:
                assert code_of(answer)
            if method == "DELETE":
                return
    mine = bearer((await api.login())["accessToken"])
    for missing in given:
        rest = {name: given[name] for name in given if name != missing}
        answer = await call(api, method, path, rest, **mine)
        assert answer.status_code < 500, answer.text
    assert faults == []


BOUNDED: Final = {
    "/register": 20,
    "/register/resend": 300,
    "/password/forgot": 300,
    "/register/confirm": 20,
    "/invitations/accept": 20,
    "/password/reset": 20,
    "/email/confirm": 20,
    "/email/revert": 20,
}
"""How many calls one network has before it must wait."""


@pytest.mark.parametrize(("path", "most"), BOUNDED.items())
async def test_a_network_waits_and_others_do_not(
    api: LocalApi, path: str, most: int
) -> None:
    attacker = api.at("192.0.2.1")
    for _ in range(most):
        answer = await post(attacker, path, BODIES[path])
        assert answer.status_code in (202, 400), answer.text
    refused = await post(attacker, path, BODIES[path])
    assert verdict(refused) == "429 throttled"
    assert int(refused.headers["retry-after"]) > 0
    assert (await post(api, path, BODIES[path])).status_code in (202, 400)
    api.clock.advance(int(refused.headers["retry-after"]) * 1000)
    assert (await post(attacker, path, BODIES[path])).status_code in (202, 400)


async def test_no_secret_of_an_account_is_in_a_log(
    tmp_path: Path,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Passwords, what mails carry, handles and tokens: in no log, refused or not."""
    caplog.set_level(logging.DEBUG)
    async with local_api(serving(tmp_path), clock) as api:
        secrets = await told_secrets(api)
        audit = await api.engine.stores.audit.read(0, 1000)
    printed = capsys.readouterr()
    logged = "\n".join([printed.out, printed.err, repr(audit), caplog.text])
    assert "POST /api/auth/password/reset 204" in printed.err
    assert [secret for secret in secrets if secret in logged] == []


async def told_secrets(api: LocalApi) -> list[str]:
    """What a user and the server have told each other, from registration to reset."""
    mails, wrong, key = Mails(api), "a-wrong-one", "a-key-of-ann-0001"
    handle = await registered(api)
    token = await mails.token()
    body = {"token": token, "registration": handle}
    for fault in ({"registration": handle + "A"}, {"token": token + "A"}):
        await post(api, "/register/confirm", {"password": wrong, **body, **fault})
    tokens = (await post(api, "/register/confirm", body)).json()
    change = {"currentPassword": PASSWORD, "password": NEW}
    change["refreshToken"] = tokens["refreshToken"]
    await post(api, "/password/change", change, Idempotency_Key=key)
    await post(api, "/password/forgot", {"email": ANN})
    reset = {"token": await mails.token(), "password": PASSWORD}
    assert (await post(api, "/password/reset", reset)).status_code == 204
    given = [tokens["accessToken"], tokens["refreshToken"], reset["token"]]
    return [PASSWORD, NEW, wrong, key, handle, token, *given]


# What a request may not tell the mail

LIES: Final = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Prefix": "/evil",
    "X-Original-Host": "evil.example",
    "X-Host": "evil.example",
    "Forwarded": "host=evil.example;proto=https",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example/register",
    "Accept-Language": "evil",
}


async def test_no_header_and_no_field_reaches_a_mail(
    api: LocalApi, mails: Mails
) -> None:
    """Links come from the settings alone; what the asker typed is in no mail."""
    await confirmed(api, mails)
    typed = {"username": "evil-name", "locale": "evil", "redirectTo": "//evil.example"}
    body = {"email": "bob@example.org", "password": PASSWORD, **typed}
    handle = (await post(api, "/register", body, **LIES)).json()["registration"]
    await mails.all()
    api.clock.advance(60_000)  # mails of strangers go out at a pace
    await post(api, "/register/resend", {"registration": handle}, **LIES)
    await post(api, "/register", {**body, "email": ANN}, **LIES)
    await post(api, "/password/forgot", {"email": ANN, **typed}, **LIES)
    sent = await mails.all()
    assert len(sent) == 5
    for mail in sent:
        text = mail.as_bytes().decode() + "".join(
            str(part.get_content()) for part in mail.walk() if not part.is_multipart()
        )
        assert "evil" not in text.lower()
        assert "gopher" not in text
        links = [link.partition("#")[0] for link in re.findall(r"https?://\S+", text)]
        assert {link[: len(ISSUER) + 1] for link in links} == {f"{ISSUER}/"}


def test_an_absolute_target_reaches_no_mail(tmp_path: Path) -> None:
    """It takes the place of Host (RFC 9112 section 3.2.2), and of nothing else."""
    with Live(tmp_path / "data", WATCHWORD_REGISTRATION="open") as live:
        raw = json.dumps(BODIES["/register"]).encode()
        head = {
            "Host": "evil.example",
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
        }
        target = f"http://evil.example{BASE}/register"
        assert b" 202 " in live.talk(request("POST", target, head, raw))[:20]
        folder = live.data / "outbox"
        until(lambda: any(folder.glob("*.eml")))
        (mail,) = folder.glob("*.eml")
        assert b"evil" not in mail.read_bytes()
        assert live.url.encode() in mail.read_bytes().replace(b"=\r\n", b"")
        assert PASSWORD not in live.printed()


# An app with users of its own


async def test_an_app_with_users_of_its_own_has_none_of_these_calls(
    tmp_path: Path, clock: ManualClock
) -> None:
    """A call of its own by the same name is answered by the app."""

    async def check(given: Credentials) -> None:
        del given

    async def own(request: Request) -> PlainTextResponse:
        del request
        return PlainTextResponse("the app's own")

    settings = serving(tmp_path)
    async with local_api(settings, clock, authenticate=check) as opened:
        engine = opened.engine
    app = EmbeddedApp(settings, lambda: engine, lambda _: None, own_users=True)
    host = Starlette(
        routes=[*routes_to(app), Route(f"{BASE}/register", own, methods=["POST"])]
    )
    async with LocalApi(host, engine, clock).client as client:
        for method, path, body in CALLS:
            answer = await client.request(method, BASE + path, json=body)
            if path == "/register":
                assert answer.text == "the app's own"
            else:
                assert answer.status_code == 404, path
    documented: dict[str, Any] = {}
    merge_into(documented, app.operations)
    assert not any(
        "/register" in path or "/account" in path for path in documented["paths"]
    )


async def test_an_engine_without_accounts_finds_none_of_these_calls(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Also where something routes them to it all the same."""

    async def check(given: Credentials) -> None:
        del given

    app = make_app(
        serving(tmp_path),
        clock=clock,
        monotonic=ManualClock(0),
        background=False,
        authenticate=check,
    )
    async with lifespan(app) as state:

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": state}, receive, send)

        async with LocalApi(application, state["watchword"], clock).client as client:
            for method, path, body in CALLS:
                answer = await client.request(method, BASE + path, json=body)
                assert verdict(answer) == "404 not_found", path
