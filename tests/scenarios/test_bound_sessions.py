"""A session bound to a key (DPoP, RFC 9449): what a copy of its tokens is worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2
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
from tests.verify.proving import Prover, ath_of
from watchword.core.limits import (
    DAY,
    DPOP_GRACE,
    DPOP_NONCE_STEP,
    DPOP_NONCE_STEPS,
    THROTTLE_NAME_BURST,
)
from watchword.core.session import SessionOptions
from watchword.errors import StoreUnavailable
from watchword.ports.audit import EventType
from watchword.testing import ManualClock

ISSUER: Final = "https://auth.example"


class Device:
    """A client with a key, which remembers the newest nonce of each kind of place."""

    def __init__(self, api: LocalApi, number: int = 0) -> None:
        self.api = api
        self.prover = Prover("ES256", number)
        self.nonces: dict[str, str] = {}
        self.drawn = 0

    def proof(self, method: str, path: str, place: str, **changes: Any) -> str:
        self.drawn += 1
        claims = {
            "jti": f"{self.prover.jkt}-{self.drawn}",
            "htm": method,
            "htu": ISSUER + path,
            "iat": self.api.clock.now // 1000,
            "nonce": self.nonces.get(place, ...),
            **changes,
        }
        known = {name: value for name, value in claims.items() if value is not ...}
        return self.prover.proof(payload=known)

    async def send(
        self, method: str, path: str, place: str = "token", **request: Any
    ) -> httpx2.Response:
        """As clients do: asked for a nonce, the request is made again with it."""
        access = request.pop("access", None)
        given = request.pop("headers", {})
        ath = ... if access is None else ath_of(access)
        while True:
            headers = {**given, "DPoP": self.proof(method, path, place, ath=ath)}
            if access is not None:
                headers["Authorization"] = f"DPoP {access}"
            answer = await self.api.client.request(
                method, path, headers=headers, **request
            )
            newest = answer.headers.get("dpop-nonce", self.nonces.get(place))
            asked_again = newest != self.nonces.get(place)
            self.nonces[place] = newest or ""
            if "use_dpop_nonce" not in answer.text or not asked_again:
                return answer

    async def login(self) -> Any:
        body = {"username": "alice", "password": PASSWORD}
        answer = await self.send("POST", f"{BASE}/login", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refresh(self, token: str, key: str | None = None) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"refreshToken": token}
        return await self.send("POST", f"{BASE}/refresh", json=body, headers=headers)

    async def oauth(self, **form: str) -> httpx2.Response:
        form = {"client_id": "first-party"} | form
        return await self.send("POST", "/oauth/token", data=form)

    async def secure(self, access: str) -> httpx2.Response:
        return await self.send("GET", f"{BASE}/secure", "resource", access=access)


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[LocalApi]:
    async with local_api(settings_for(tmp_path, "sqlite"), ManualClock()) as opened:
        yield opened


@pytest.fixture
def device(api: LocalApi) -> Device:
    return Device(api)


async def test_a_bound_session_from_sign_in_to_logout(
    api: LocalApi, device: Device
) -> None:
    login = await device.login()
    assert login["tokenType"] == "DPoP"
    assert code_of(await device.secure(login["accessToken"])) == "ok"
    native = (await device.refresh(login["refreshToken"])).json()
    assert native["tokenType"] == "DPoP"
    grant = {"grant_type": "refresh_token", "refresh_token": native["refreshToken"]}
    tokens = (await device.oauth(**grant)).json()
    assert tokens["token_type"] == "DPoP"
    claims = api.engine.checker.verify_signature(tokens["access_token"])
    assert claims.cnf is not None
    assert claims.cnf.jkt == device.prover.jkt
    assert code_of(await device.secure(tokens["access_token"])) == "ok"
    await api.logout(tokens["refresh_token"])
    assert code_of(await device.secure(tokens["access_token"])) == "token_revoked"


async def test_a_copied_access_token_opens_nothing(
    api: LocalApi, device: Device
) -> None:
    """DP-07, DP-16: not as Bearer, not without a proof, not with another key's."""
    access = (await device.login())["accessToken"]
    thief = Device(api, 1)
    await thief.secure(access)  # to have a nonce
    answers = {
        "as bearer": await api.secure(access),
        "another key": await thief.secure(access),
        "no proof": await api.client.get(
            f"{BASE}/secure", headers={"Authorization": f"DPoP {access}"}
        ),
    }
    codes = {name: code_of(answer) for name, answer in answers.items()}
    assert codes == {
        "as bearer": "token_invalid",
        "another key": "token_invalid",
        "no proof": "invalid_dpop_proof",
    }
    assert {answer.status_code for answer in answers.values()} == {401}
    for name, answer in answers.items():
        challenge = answer.headers["www-authenticate"]
        used, other = ("Bearer", "DPoP") if name == "as bearer" else ("DPoP", "Bearer")
        assert challenge.startswith(f'{used} realm="watchword", error="')
        assert f', {other} realm="watchword"' in challenge
        assert 'algs="ES256 ' in challenge


async def test_a_copied_refresh_token_does_no_harm(
    api: LocalApi, device: Device
) -> None:
    """Neither current nor spent: without the key it cannot even end the session."""
    spent = (await device.login())["refreshToken"]
    current = (await device.refresh(spent)).json()["refreshToken"]
    thief = Device(api, 1)
    api.clock.advance(DPOP_GRACE)
    for token in (spent, current):
        for answer in (await api.refresh(token), await thief.refresh(token)):
            assert (answer.status_code, code_of(answer)) == (400, "invalid_dpop_proof")
        grant = {"grant_type": "refresh_token", "refresh_token": token}
        assert (await thief.oauth(**grant)).json()["error"] == "invalid_dpop_proof"
    assert code_of(await device.refresh(current)) == "ok"


async def test_reuse_by_the_key_itself_still_ends_the_session(
    api: LocalApi, device: Device
) -> None:
    """A key that was copied with the token does not buy more than the grace."""
    spent = (await device.login())["refreshToken"]
    current = (await device.refresh(spent)).json()["refreshToken"]
    api.clock.advance(DPOP_GRACE)
    assert code_of(await device.refresh(spent)) == "refresh_reused"
    assert code_of(await device.refresh(current)) == "session_revoked"


async def test_who_proves_the_key_may_ask_again_without_a_retry_key(
    api: LocalApi, device: Device
) -> None:
    """Within a minute: the same successor, and no fork."""
    first = (await device.login())["refreshToken"]
    lost = (await device.refresh(first)).json()["refreshToken"]
    api.clock.advance(DPOP_GRACE - 1)
    again = (await device.refresh(first)).json()["refreshToken"]
    assert again == lost
    assert code_of(await device.refresh(again)) == "ok"


async def test_a_hundred_at_once_get_one_successor(
    api: LocalApi, device: Device
) -> None:
    token = (await device.login())["refreshToken"]
    answers = await asyncio.gather(*(device.refresh(token) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refreshToken"] for answer in answers}) == 1


async def test_a_proof_works_once_and_spends_nothing_when_refused(
    api: LocalApi, device: Device
) -> None:
    """DP-04, DP-09, DP-11: replayed, for another place, or with the wrong nonce."""
    token = (await device.login())["refreshToken"]
    await device.secure((await device.login())["accessToken"])
    path, body = f"{BASE}/refresh", {"refreshToken": token}
    good = device.proof("POST", path, "token")
    for proofs, code in (
        ([device.proof("POST", "/oauth/token", "token")], "invalid_dpop_proof"),
        ([device.proof("GET", path, "token")], "invalid_dpop_proof"),
        ([device.proof("POST", path, "resource")], "use_dpop_nonce"),
        ([device.proof("POST", path, "token", nonce="x" * 22)], "use_dpop_nonce"),
        ([device.proof("POST", path, "token", nonce=...)], "use_dpop_nonce"),
        ([good, good], "invalid_dpop_proof"),  # two headers
        ([good], "ok"),
        ([good], "invalid_dpop_proof"),
    ):
        headers = [("DPoP", proof) for proof in proofs]
        answer = await api.client.post(path, json=body, headers=headers)
        assert code_of(answer) == code
        if code == "use_dpop_nonce":
            assert answer.headers["dpop-nonce"] == device.nonces["token"]
            assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("place", ["native", "oauth"])
async def test_a_refresh_that_is_refused_anyway_does_not_use_the_proof_up(
    api: LocalApi, device: Device, place: str
) -> None:
    """A forged token costs its MAC and no write, whatever comes with it."""
    token = (await device.login())["refreshToken"]
    path = f"{BASE}/refresh" if place == "native" else "/oauth/token"
    headers = {"DPoP": device.proof("POST", path, "token")}
    form = {"grant_type": "refresh_token", "client_id": "first-party"}

    async def send(token: str, **more: str) -> httpx2.Response:
        if place == "native":
            body = {"refreshToken": token}
            return await api.client.post(path, headers=headers | more, json=body)
        data = form | {"refresh_token": token}
        return await api.client.post(path, headers=headers | more, data=data)

    forged = await send(token[:-1] + ("A" if token[-1] != "A" else "B"))
    assert forged.status_code == (401 if place == "native" else 400)
    assert "DPoP" not in forged.text
    odd_key = await send(token, **{"Idempotency-Key": "short"})
    assert "Idempotency-Key" in odd_key.text
    assert (await send(token)).status_code == 200


async def test_one_proof_serves_one_of_two_sessions_that_come_at_once(
    api: LocalApi, device: Device
) -> None:
    """Both of the same key and in the same batch: the other one has spent nothing."""
    tokens = [(await device.login())["refreshToken"] for _ in range(2)]
    path = f"{BASE}/refresh"
    headers = {"DPoP": device.proof("POST", path, "token")}
    answers = await asyncio.gather(
        *(
            api.client.post(path, json={"refreshToken": token}, headers=headers)
            for token in tokens
        )
    )
    codes = [code_of(answer) for answer in answers]
    assert sorted(codes) == ["invalid_dpop_proof", "ok"]
    refused = tokens[codes.index("invalid_dpop_proof")]
    assert code_of(await device.refresh(refused)) == "ok"


async def test_only_who_has_an_account_causes_a_proof_to_be_remembered(
    api: LocalApi, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a row that is written: any caller can make keys and good proofs."""
    remembered = 0
    real = api.engine.proofs._use_once

    async def counted(uses: Sequence[tuple[bytes, int]]) -> Sequence[bool]:
        nonlocal remembered
        remembered += len(uses)
        return await real(uses)

    for proofs in (api.engine.proofs, api.engine.resource_proofs):
        monkeypatch.setattr(proofs, "_use_once", counted)
    tokens, stranger = await device.login(), Device(api, 7)
    assert remembered == 1
    remembered = 0
    for _ in range(THROTTLE_NAME_BURST + 5):
        body = {"username": "nobody", "password": "a wrong password"}
        answer = await device.send("POST", f"{BASE}/login", json=body)
        assert code_of(answer) in {"invalid_credentials", "throttled"}
    # A copy of the token, and another key.
    answer = await stranger.send(
        "GET", f"{BASE}/secure", "resource", access=tokens["accessToken"]
    )
    assert code_of(answer) == "token_invalid"
    assert remembered == 0


async def test_where_no_proof_can_be_remembered_nothing_is_spent(
    api: LocalApi, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and those of the batch who have shown none do not notice."""
    bound, plain = (await device.login())["refreshToken"], await api.login()

    async def down(_: object) -> list[bool]:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(api.engine.proofs, "_use_once", down)
        refused, good = await asyncio.gather(
            device.refresh(bound), api.refresh(plain["refreshToken"])
        )
    assert (refused.status_code, code_of(refused)) == (503, "store_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert code_of(good) == "ok"
    assert code_of(await device.refresh(bound)) == "ok"


async def test_a_nonce_is_renewed_with_every_answer(
    api: LocalApi, device: Device
) -> None:
    """Who refreshes at times is never asked for one twice; who was away is."""
    token = (await device.login())["refreshToken"]
    sent = device.drawn
    for _ in range(3):
        api.clock.advance(DPOP_NONCE_STEP * (DPOP_NONCE_STEPS - 1))
        token = (await device.refresh(token)).json()["refreshToken"]
    assert device.drawn == sent + 3
    api.clock.advance(DAY)
    assert code_of(await device.refresh(token)) == "ok"
    assert device.drawn == sent + 5


async def test_a_client_that_must_prove_gets_nothing_without(
    api: LocalApi, device: Device
) -> None:
    """DP-10: `dpop_bound_access_tokens`, at the token endpoint and at sign-in."""
    _, secret = await api.engine.clients.add("bank", confidential=True, dpop=True)
    form = {"grant_type": "client_credentials", "client_id": "bank"}
    form["client_secret"] = str(secret)
    answer = await api.client.post("/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
    assert (await device.oauth(**form)).json()["token_type"] == "DPoP"
    await api.engine.clients.add("wallet", confidential=False, dpop=True)
    body = {"username": "alice", "password": PASSWORD, "clientId": "wallet"}
    answer = await api.client.post(f"{BASE}/login", json=body)
    assert code_of(answer) == "invalid_dpop_proof"


async def test_a_confidential_clients_session_is_not_bound_its_access_tokens_are(
    api: LocalApi, device: Device
) -> None:
    """RFC 9449 §5: its refreshes are authenticated anyway, and its key may change."""
    _, secret = await api.engine.clients.add("backend", confidential=True)
    signed_in = await api.engine.sign_in.by_password(
        "alice", PASSWORD, SessionOptions(client_id="backend")
    )
    form = {"client_id": "backend", "client_secret": str(secret)}
    form |= {"grant_type": "refresh_token", "refresh_token": signed_in.refresh_token}
    for prover in (device, Device(api, 1)):
        tokens = (await prover.oauth(**form)).json()
        assert tokens["token_type"] == "DPoP"
        assert code_of(await prover.secure(tokens["access_token"])) == "ok"
        form["refresh_token"] = tokens["refresh_token"]
    answer = await api.client.post("/oauth/token", data=form)
    tokens = answer.json()
    assert tokens["token_type"] == "Bearer"
    answer = await api.client.get(
        f"{BASE}/secure", headers=bearer(tokens["access_token"])
    )
    assert code_of(answer) == "ok"


async def test_a_proof_at_sign_in_is_looked_at_before_the_password(
    api: LocalApi, device: Device
) -> None:
    """A client that has no nonce yet makes the server hash nothing twice."""
    await device.login()
    events = [event for _, event in await api.engine.stores.audit.read(0, 100)]
    kinds = [event.type for event in events]
    assert kinds.count(EventType.SIGN_IN) == 1
    assert EventType.SIGN_IN_FAILED not in kinds
