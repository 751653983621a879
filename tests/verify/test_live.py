"""Verifiers beside real servers: keys, logouts, threads and processes, DPoP."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.cli.terminal import Terminal
from tests.pages import ROOT
from tests.patience import PATIENCE, auntil
from tests.scenarios.test_key_operations import age_keys
from tests.server.following import Follower
from tests.server.live import PASSWORD, Live
from tests.verify.proving import Prover, ath_of
from watchword.clocks import monotonic
from watchword.core.limits import JWKS_MAX_AGE
from watchword.errors import (
    InsufficientRole,
    InsufficientScope,
    StoreUnavailable,
    TokenInvalid,
    TokenNonceNeeded,
    TokenProofInvalid,
    TokenRevoked,
    WatchwordError,
)
from watchword.verify import SyncVerifier, Verifier
from watchword.verify import verifier as verifier_module
from watchword.verify.fetching import fetch

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two workers: whoever logs out may be heard by the other."""
    folder = tmp_path_factory.mktemp("verify") / "data"
    with Live(folder, "--workers", "2") as server:
        server.login()
        yield server


@pytest.fixture(scope="module")
def follower(live: Live) -> Follower:
    return Follower(live)


async def code_of(asked: Awaitable[Any]) -> str:
    """`ok`, or the code with which it was refused."""
    try:
        await asked
    except WatchwordError as error:
        return error.code
    return "ok"


def log_out(live: Live, tokens: Any) -> None:
    body = {"refreshToken": tokens["refreshToken"]}
    assert live.call("POST", "/api/auth/logout", body).status == 200


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the verifiers of this process ask for, in order."""
    paths: list[str] = []

    async def noting(http: Any, url: str, **given: Any) -> Any:
        paths.append(urlsplit(url).path)
        return await fetch(http, url, **given)

    monkeypatch.setattr(verifier_module, "fetch", noting)
    return paths


async def test_ten_thousand_first_requests_fetch_the_keys_once(
    live: Live, fetched: list[str]
) -> None:
    token = live.login()["accessToken"]
    async with Verifier(live.url) as verifier:
        assert not verifier.health().ready
        found = await asyncio.gather(*(verifier.verify(token) for _ in range(10_000)))
        assert len({claims.jti for claims in found}) == 1
        health = verifier.health()
    assert (health.ready, health.feed, health.keys) == (True, "off", 2)
    assert fetched == [METADATA, JWKS]


VERIFYING: Final = """
import sys
from watchword import WatchwordError
from watchword.verify import SyncVerifier

issuer, name = sys.argv[1:]
secret = sys.stdin.readline().strip()
with SyncVerifier(issuer, feed=(name, secret)) as verifier:
    for line in sys.stdin:
        try:
            verifier.verify(line.strip())
        except WatchwordError as error:
            print(error.code, flush=True)
        else:
            print("ok", flush=True)
"""


async def test_a_logout_anywhere_is_honoured_by_every_verifier(
    live: Live, follower: Follower
) -> None:
    """By several here, whichever worker they follow, and by one in another process."""
    name, secret = follower.credentials
    other = subprocess.Popen(  # noqa: ASYNC220 - lines are short, and answered soon
        [sys.executable, "-W", "error", "-c", VERIFYING, live.url, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        cwd=ROOT,
    )
    stdin, stdout = other.stdin, other.stdout
    assert stdin is not None
    assert stdout is not None

    def elsewhere(text: str) -> str:
        stdin.write(f"{text}\n")
        return stdout.readline().strip()

    stdin.write(f"{secret}\n")
    here = [Verifier(live.url, feed=follower.credentials) for _ in range(3)]
    async with here[0], here[1], here[2]:
        for _ in range(4):
            tokens = live.login()
            token = tokens["accessToken"]
            for verifier in here:
                assert (await verifier.verify(token)).sid == tokens["sessionId"]
            assert elsewhere(token) == "ok"
            log_out(live, tokens)
            for verifier in here:

                async def revoked(
                    verifier: Verifier = verifier, token: str = token
                ) -> bool:
                    return await code_of(verifier.verify(token)) == "token_revoked"

                await auntil(revoked)

            async def revoked_there(token: str = token) -> bool:
                return elsewhere(token) == "token_revoked"

            await auntil(revoked_there)
        assert all(verifier.health().feed == "following" for verifier in here)
    stdin.close()
    assert other.wait(PATIENCE) == 0
    stdout.close()


def is_published(live: Live, kids: set[str]) -> bool:
    """Whether both workers have followed: of twenty answers, each has these keys."""
    url = f"{live.url}/.well-known/jwks.json"
    answers = (httpx2.get(url).json()["keys"] for _ in range(20))
    return all(kids <= {key["kid"] for key in keys} for keys in answers)


async def test_keys_are_rotated_and_no_verification_fails(live: Live) -> None:
    """One that was published while nobody looked is asked for when it is met."""
    terminal, later = Terminal(live.data), 0
    signed: set[str] = set()
    async with Verifier(live.url, monotonic=lambda: monotonic() + later) as verifier:
        for turn in range(6):
            token = live.login()["accessToken"]
            assert (await verifier.verify(token)).sub
            signed.add(token.partition(".")[0])
            if turn % 2 == 0:
                # A key signs five minutes after it was published, not before.
                age_keys(live.data)
                later += JWKS_MAX_AGE
                await asyncio.to_thread(terminal.run, "keys", "rotate")
                keys = await asyncio.to_thread(terminal.json, "keys", "list")
                kids = {key["kid"] for key in keys if key["state"] != "retired"}
                # Each worker looks by itself. Here a key signs at once, and not five
                # minutes later: the other worker has to know it by then.
                await auntil(is_published, live, kids)
    assert len(signed) > 1


async def test_the_right_must_be_there_and_health_says_so(live: Live) -> None:
    added = await asyncio.to_thread(
        Terminal(live.data).json,
        *("clients", "add", "catalogue", "--confidential", "--right", "introspect"),
    )
    for credentials, status in (
        ((added["clientId"], added["clientSecret"]), 400),
        ((added["clientId"], "wrong"), 401),
    ):
        async with Verifier(live.url, feed=credentials) as verifier:
            with pytest.raises(StoreUnavailable):
                await verifier.verify(live.login()["accessToken"])
            health = verifier.health()
        assert (health.ready, health.feed) == (False, "starting")
        assert str(status) in str(health.feed_error)
        assert credentials[1] not in str(health)


async def test_roles_and_scope_are_asked_for(live: Live) -> None:
    async with Verifier(live.url) as verifier:
        claims = await verifier.verify(live.login()["accessToken"])
        verifier.require(claims, roles=["admin"], max_age=60)
        with pytest.raises(InsufficientRole):
            verifier.require(claims, roles=["admin", "owner"])
        with pytest.raises(InsufficientScope):
            verifier.require(claims, scope=["orders:read"])


async def test_another_audience_is_refused(live: Live) -> None:
    async with Verifier(live.url, "orders") as verifier:
        with pytest.raises(TokenInvalid):
            await verifier.verify(live.login()["accessToken"])


def test_threads_share_one_verifier(
    live: Live, follower: Follower, fetched: list[str]
) -> None:
    """Their first requests too; and it may be used without `with`, and again."""
    tokens = live.login()
    verifier = SyncVerifier(live.url, feed=follower.credentials)
    threads = threading.active_count()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(verifier.verify, [tokens["accessToken"]] * 400))
    assert {claims.sid for claims in found} == {tokens["sessionId"]}
    assert (fetched.count(METADATA), fetched.count(JWKS)) == (1, 1)
    verifier.require(found[0], roles=["admin"])
    log_out(live, tokens)
    deadline = time.monotonic() + PATIENCE
    with pytest.raises(TokenRevoked):  # noqa: PT012 - until then it is accepted
        while time.monotonic() < deadline:
            verifier.verify(tokens["accessToken"])
            time.sleep(0.02)
    assert verifier.health().ready
    verifier.close()
    assert threading.active_count() == threads
    assert verifier.verify(live.login()["accessToken"]).sub
    verifier.close()
    verifier.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_worker_that_is_forked_has_one_of_its_own(live: Live) -> None:
    """As servers do that load the application before they fork."""
    token = live.login()["accessToken"]
    with SyncVerifier(live.url) as verifier:
        assert verifier.verify(token).sub
        child = os.fork()
        if child == 0:
            try:  # whatever happens, no test may go on in here
                verifier.verify(token)
                verifier.close()
            except BaseException:  # noqa: BLE001
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert verifier.verify(token).sub


class Device:
    """A client whose session is bound to its key."""

    def __init__(self, live: Live) -> None:
        self.prover = Prover()
        self._name, self._drawn = uuid.uuid4().hex, 0
        path = "/api/auth/login"
        body = {"username": "admin", "password": PASSWORD}
        proof = self.proof("POST", live.url + path)
        answer = live.call("POST", path, body, DPoP=proof)
        nonce = answer.headers["dpop-nonce"]
        proof = self.proof("POST", live.url + path, nonce=nonce)
        answer = live.call("POST", path, body, DPoP=proof)
        assert answer.status == 200, answer.raw
        self.access = answer.json()["accessToken"]
        self.refresh_token = answer.json()["refreshToken"]

    def proof(self, method: str, url: str, **more: Any) -> str:
        self._drawn += 1
        claims = {
            "jti": f"{self._name}-{self._drawn}",
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            **more,
        }
        return self.prover.proof(payload=claims)


async def test_a_bound_token_needs_the_proof_of_its_key_once(live: Live) -> None:
    """With a nonce of this very verifier: what another one was shown is worthless."""
    url = "https://orders.example/orders"
    device = Device(live)
    token, ath = device.access, ath_of(device.access)
    first, second = Verifier(live.url), Verifier(live.url)
    async with first, second:
        with pytest.raises(TokenInvalid):  # as a bearer token it is nothing
            await first.verify(token)
        with pytest.raises(TokenProofInvalid):
            await first.verify_bound(token, None, method="GET", url=url)
        with pytest.raises(TokenNonceNeeded) as needed:
            await first.verify_bound(
                token, device.proof("GET", url, ath=ath), method="GET", url=url
            )
        nonce = needed.value.nonce
        proof = device.proof("GET", url, ath=ath, nonce=nonce)
        with pytest.raises(TokenNonceNeeded):
            await second.verify_bound(token, proof, method="GET", url=url)
        claims = await first.verify_bound(token, proof, method="GET", url=url)
        assert claims.cnf is not None
        assert claims.cnf.jkt == device.prover.jkt
        with pytest.raises(TokenProofInvalid):  # the same again
            await first.verify_bound(token, proof, method="GET", url=url)
        other = Prover(number=1)
        payload = {
            "jti": "thief",
            "htm": "GET",
            "htu": url,
            "iat": int(time.time()),
            "ath": ath,
            "nonce": nonce,
        }
        with pytest.raises(TokenInvalid):
            await first.verify_bound(
                token, other.proof(payload=payload), method="GET", url=url
            )
    with SyncVerifier(live.url) as verifier:
        with pytest.raises(TokenNonceNeeded) as needed:
            verifier.verify_bound(
                token, device.proof("GET", url, ath=ath), method="GET", url=url
            )
        proof = device.proof("GET", url, ath=ath, nonce=needed.value.nonce)
        assert verifier.verify_bound(token, proof, method="GET", url=url) == claims
