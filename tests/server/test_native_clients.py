"""The calls under /api/auth for other clients than first-party, and for scopes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.scenarios.api import (
    BASE,
    PASSWORD,
    LocalApi,
    bearer,
    code_of,
    local_api,
    settings_for,
)
from tests.server.test_oauth import basic
from watchword.testing import ManualClock

ALICE: Final[dict[str, Any]] = {"username": "alice", "password": PASSWORD}


class Native:
    """Calls with a client's name and, for a confidential one, its secret."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api

    async def add(self, name: str, **given: Any) -> dict[str, str]:
        """A new client, and its header."""
        _, secret = await self.api.engine.clients.add(name, **given)
        return {} if secret is None else {"Authorization": basic(name, secret)}

    async def post(
        self, path: str, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        url = f"{BASE}/{path}"
        return await self.api.client.post(url, json=body, headers=headers or {})

    async def login(self, headers: dict[str, str], **body: Any) -> Any:
        answer = await self.post("login", headers, **ALICE, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def native(api: LocalApi) -> Native:
    return Native(api)


@pytest.mark.parametrize(
    ("confidential", "named"),
    [(False, True), (True, True), (True, False)],
    ids=["public", "confidential", "confidential, by Basic alone"],
)
async def test_a_client_refreshes_and_signs_out_where_its_users_sign_in(
    native: Native, *, confidential: bool, named: bool
) -> None:
    headers = await native.add("shop", confidential=confidential)
    who = {"clientId": "shop"} if named else {}
    login = await native.login(headers, **who)
    sent = {"refreshToken": login["refreshToken"], **who}
    answer = await native.post("refresh", headers, **sent)
    assert (code_of(answer), answer.json()["sessionId"]) == ("ok", login["sessionId"])
    access = answer.json()["accessToken"]
    sent["refreshToken"] = answer.json()["refreshToken"]
    assert code_of(await native.post("logout", headers, **sent)) == "ok"
    assert code_of(await native.api.secure(access)) == "token_revoked"


@pytest.mark.parametrize("path", ["refresh", "logout"])
async def test_a_client_that_is_not_the_sessions_spends_and_ends_nothing(
    native: Native, path: str
) -> None:
    good = await native.add("shop", confidential=True)
    await native.add("spa", confidential=False)
    cron = await native.add("cron", confidential=True, grants=["client_credentials"])
    token = (await native.login(good))["refreshToken"]
    wrong = {"Authorization": basic("shop", "ww_cs_wrong")}
    for headers, client, code in (
        ({}, "shop", "invalid_client"),
        (wrong, "shop", "invalid_client"),
        ({"Authorization": "Basic !"}, "shop", "invalid_client"),
        ({}, "nobody", "invalid_client"),
        (good, "spa", "invalid_request"),  # two names
        ({}, "spa", "refresh_invalid"),
        (cron, "cron", "unauthorized_client"),
        ({}, "", "invalid_client"),
        ({}, 7, "invalid_request"),
    ):
        answer = await native.post(path, headers, refreshToken=token, clientId=client)
        assert code_of(answer) == code, (client, code)
    if path == "refresh":  # first-party's name is the default, and not this one's
        assert code_of(await native.api.refresh(token)) == "refresh_invalid"
    answer = await native.post("refresh", good, refreshToken=token)
    assert code_of(answer) == "ok"


async def test_any_token_of_a_session_signs_out_without_a_name(
    native: Native,
) -> None:
    """In either form of the body, and whatever the client: as before."""
    headers = await native.add("shop", confidential=True)
    for form in (lambda token: token, lambda token: {"refreshToken": token}):
        login = await native.login(headers)
        body = form(login["refreshToken"])
        answer = await native.api.client.post(f"{BASE}/logout", json=body)
        assert answer.json() == {"message": "Logged out successfully"}
        gone = await native.api.secure(login["accessToken"])
        assert code_of(gone) == "token_revoked"


async def test_a_client_that_must_prove_a_key_does_so_here_too(native: Native) -> None:
    headers = await native.add("bank", confidential=True, dpop=True)
    answer = await native.post("refresh", headers, refreshToken="ww_rt_" + "A" * 76)
    assert code_of(answer) == "invalid_dpop_proof"


async def test_a_native_sign_in_has_the_scope_of_the_settings(
    tmp_path: Path, clock: ManualClock
) -> None:
    """All of it, or what it asks for of it; a refresh keeps it."""
    settings = settings_for(
        tmp_path, "memory", first_party_scope="orders:read orders:write"
    )
    async with local_api(settings, clock) as api:
        native = Native(api)
        for requested, given in (
            ({}, "orders:read orders:write"),
            ({"scope": "orders:read"}, "orders:read"),
        ):
            login = await native.login({}, **requested)
            fresh = (await api.refresh(login["refreshToken"])).json()
            for answer in (login, fresh):
                assert answer["scope"] == given
                claims = api.engine.checker.verify(answer["accessToken"])
                assert claims.scope == given
            headers = bearer(login["accessToken"])
            listed = await api.client.get(f"{BASE}/sessions", headers=headers)
            assert listed.status_code == 200
        refused = await native.post("login", **ALICE, scope="orders:read admin")
        assert code_of(refused) == "invalid_scope"


async def test_without_the_setting_a_native_sign_in_has_none(native: Native) -> None:
    login = await native.login({})
    assert "scope" not in login
    refused = await native.post("login", **ALICE, scope="orders:read")
    assert code_of(refused) == "invalid_scope"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
