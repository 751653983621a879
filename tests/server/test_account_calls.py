"""The calls by which accounts serve themselves, as they are asked over HTTP.

What the engine promises of them is tested with the engine. Here: who may call, what is
refused before anything is spent, and that a request tells the mail nothing.
"""

from __future__ import annotations

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

from tests.scenarios.api import (
    BASE,
    PASSWORD,
    Api,
    LocalApi,
    bearer,
    code_of,
    local_api,
    settings_for,
)
from watchword.config import Settings
from watchword.testing import ManualClock

ISSUER: Final = "http://127.0.0.1:8000"
NEW: Final = "five other words make one"
ANN: Final = "ann@example.org"
TOKEN: Final = re.compile(r"ww_cf_[\w-]+")


class Mails:
    """What the server has sent: the files in the folder of a developer."""

    def __init__(self, api: LocalApi) -> None:
        self._api = api
        self._read = 0

    async def all(self) -> list[EmailMessage]:
        sender = self._api.engine.mail
        assert sender is not None
        await sender.send_due()
        await sender.close()
        folder = self._api.engine.settings.outbox_folder
        return [
            message_from_bytes(file.read_bytes(), EmailMessage, policy=SMTP)
            for file in sorted(folder.glob("*.eml"))
        ]

    async def newest(self, to: str = ANN) -> str:
        """The text of the newest mail to that address."""
        found = [one for one in await self.all() if str(one["to"]) == to]
        body = found[-1].get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    async def token(self, to: str = ANN) -> str:
        found = TOKEN.search(await self.newest(to))
        assert found is not None
        return found[0]


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
    return await api.client.request(method, BASE + path, json=body, headers=given)


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
    """Byte for byte, headers too, but for the handle. So does a resend."""
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

WRONG_OPTIONS: Final = {
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


async def with_token(api: LocalApi, mails: Mails, path: str) -> dict[str, str]:
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
    """Where nobody registers, and where no mail can be sent."""
    async with local_api(serving(tmp_path, **given), clock) as api:
        answers = {
            path: verdict(await post(api, path, body))
            for path, body in {
                "/register": {"email": ANN, "password": PASSWORD},
                "/register/resend": {"registration": "ww_rg_x"},
                "/register/confirm": {"token": "ww_cf_x", "registration": "ww_rg_x"},
                "/invitations/accept": {"token": "ww_cf_x", "password": PASSWORD},
                "/password/forgot": {"email": ANN},
            }.items()
        }
        here = {path for path, said in answers.items() if said != "404 not_found"}
        assert here == found, answers
        assert "/api/auth/register" in (await api.client.get("/openapi.json")).text
