"""A user with second factors, over HTTP: what one has at hand, and what one sends."""

from __future__ import annotations

import base64
from typing import Any

import httpx2

from tests.scenarios.api import BASE, PASSWORD, Api, LocalApi, bearer, code_of
from watchword.core.limits import TOTP_STEP
from watchword.core.totp import code_at


class Phone:
    """An authenticator app with one secret (base32), by the clock of a test."""

    def __init__(self, secret: str, api: LocalApi) -> None:
        self.secret = secret
        self._api = api

    def code(self) -> str:
        """A code that was not shown before."""
        self._api.clock.advance(TOTP_STEP)
        return code_at(base64.b32decode(self.secret), self._api.clock.now // TOTP_STEP)


async def call(
    api: Api, method: str, path: str, body: Any = None, **headers: str
) -> httpx2.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await api.client.request(method, BASE + path, json=body, headers=given)
    api.client.cookies.clear()  # a test sends the cookies that it means to send
    return answer


async def post(
    api: Api, path: str, body: Any = None, **headers: str
) -> httpx2.Response:
    return await call(api, "POST", path, body, **headers)


def verdict(answer: httpx2.Response) -> str:
    return f"{answer.status_code} {code_of(answer)}"


def good(answer: httpx2.Response) -> Any:
    """What a call that worked has answered."""
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()


async def signed_in(
    api: Api, name: str = "alice", cookie: str = "", **more: Any
) -> httpx2.Response:
    body = {"username": name, "password": PASSWORD, **more}
    return await post(api, "/login", body, **({"Cookie": cookie} if cookie else {}))


async def continued(api: Api, name: str = "alice", **more: Any) -> str:
    """The continuation of a right password."""
    answer = await signed_in(api, name, **more)
    assert verdict(answer) == "401 second_factor_required"
    return str(answer.json()["continuation"])


async def with_phone(api: LocalApi, tokens: Any) -> tuple[Phone, Any]:
    """An authenticator app for the user of that session, and what was answered."""
    pending = good(await post(api, "/factors/totp", **bearer(tokens["accessToken"])))
    phone = Phone(pending["secret"], api)
    body = {
        "factor": pending["factor"],
        "code": phone.code(),
        "refreshToken": tokens["refreshToken"],
    }
    return phone, good(await post(api, "/factors/totp/confirm", body))
