"""Sessions that are bound to a key: proofs and nonces are the client's business.

The server compares proofs with its own address: nothing stands in between here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.client.conftest import SECURE, Stage, force
from tests.client.test_auth import PLAIN, Get, by_httpx2, every_library
from tests.server.live import PASSWORD
from watchword.client import Auth
from watchword.errors import (
    InvalidProof,
    SessionRevoked,
    SettingsError,
    TokenFileError,
    TokenNonceNeeded,
)


def bound(stage: Stage, dpop: bool | ec.EllipticCurvePrivateKey = True) -> Auth:  # noqa: FBT001, FBT002 - as in Auth
    auth = stage.auth(stage.live.url, dpop=dpop, clocks=stage.server_clock())
    auth.login("admin", PASSWORD)
    return auth


def secure(stage: Stage) -> str:
    return stage.live.url + SECURE


@every_library
def test_a_bound_session_lives_on_like_any_other(stage: Stage, get: Get) -> None:
    """With nonces that are new at each place, and expire: nobody notices."""
    auth = bound(stage)
    assert stage.kept()["scheme"] == "DPoP"
    assert "PRIVATE KEY" in stage.kept()["key"]
    url = f"{secure(stage)}?query=is#not-signed"
    assert get(auth, url) == 200
    force(auth)
    assert get(auth, url) == 200
    assert stage.generation() == 1
    for _ in range(4):
        stage.expire()  # the nonces, too
    assert get(auth, url) == 200
    assert stage.generation() == 2
    # The next process finds the key in the file, whatever it was made with.
    later = stage.auth(stage.live.url, clocks=stage.server_clock())
    assert get(later, url) == 200
    stage.live.call("POST", "/api/auth/logout", {"refreshToken": refresh_token(stage)})
    with pytest.raises(SessionRevoked):
        get(later, url)


def refresh_token(stage: Stage) -> str:
    return str(stage.kept()["refresh_token"])


def test_a_copied_token_is_worth_nothing_without_the_key(stage: Stage) -> None:
    auth = bound(stage)
    answer = stage.live.call("GET", SECURE, access=auth.token())
    assert answer.code == "token_invalid"
    spent = {"refreshToken": refresh_token(stage)}
    assert stage.live.call("POST", "/api/auth/refresh", spent).status == 400
    assert by_httpx2(auth, secure(stage)) == 200


def test_a_key_that_is_handed_in_is_kept_nowhere_and_needed_each_time(
    stage: Stage,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    auth = bound(stage, key)
    assert by_httpx2(auth, secure(stage)) == 200
    assert stage.kept()["key"] is None
    clocks = stage.server_clock()
    with pytest.raises(SettingsError, match="dpop"):
        by_httpx2(stage.auth(stage.live.url, clocks=clocks), secure(stage))
    other = ec.generate_private_key(ec.SECP256R1())
    stranger = stage.auth(stage.live.url, clocks=clocks, dpop=other)
    stranger.token()
    force(stranger)
    with pytest.raises(InvalidProof):
        stranger.token()
    again = stage.auth(stage.live.url, clocks=clocks, dpop=key)
    force(again)
    assert by_httpx2(again, secure(stage)) == 200
    with pytest.raises(SettingsError, match="P-256"):
        bound(stage, ec.generate_private_key(ec.SECP384R1()))


def test_a_damaged_key_is_told_and_not_shown(stage: Stage) -> None:
    bound(stage)
    kept = stage.file.read_text()
    stage.file.write_text(kept.replace("BEGIN PRIVATE", "BEGIN"))
    with pytest.raises(TokenFileError, match="damaged"):
        by_httpx2(stage.auth(stage.live.url), secure(stage))


def test_a_body_that_cannot_be_sent_twice_waits_for_the_first_nonce(
    stage: Stage,
) -> None:
    auth = bound(stage)

    def stream() -> Iterator[bytes]:
        yield b"{}"

    url = f"{stage.live.url}/api/auth/logout-all"
    headers = {"Content-Length": "2"}
    with httpx2.Client(auth=auth, verify=PLAIN) as http:
        with pytest.raises(TokenNonceNeeded):
            http.post(url, content=stream(), headers=headers)
        assert http.post(url, content=stream(), headers=headers).status_code == 200


async def test_many_tasks_each_prove_their_own_request(stage: Stage) -> None:
    auth = await asyncio.to_thread(bound, stage)
    async with httpx2.AsyncClient(auth=auth, verify=PLAIN) as http:
        answers = await asyncio.gather(*(http.get(secure(stage)) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}
