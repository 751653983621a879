"""Hostile conditions for OAuth and DPoP: crashes, races, full disks, cut connections.

What several processes, a kill -9, a disk without room and a clock that jumps do to
sessions that are refreshed at `/oauth/token` and bound to keys. The same stories of the
native calls alone are in the other files.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import socket
import struct
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import pytest

from tests.patience import PATIENCE, auntil
from tests.scenarios.api import (
    BASE,
    PASSWORD,
    Api,
    LocalApi,
    Server,
    bearer,
    local_api,
    settings_for,
    two_processes,
)
from tests.scenarios.world import key
from tests.verify.proving import Prover, ath_of
from watchword.bootstrap import open_watchword
from watchword.clients.registry import Clients
from watchword.config import Settings
from watchword.core.limits import HOUR, SECOND
from watchword.ports.audit import EventType
from watchword.ports.sessions import Change
from watchword.testing import ManualClock

ISSUER: Final = "http://127.0.0.1"  # of every Server
FIRST_PARTY: Final = "first-party"
OAUTH_DOWN: Final = (503, "temporarily_unavailable", True)
NATIVE_DOWN: Final = (503, "store_unavailable", True)
THROTTLED: Final = 429
_numbers: Final = itertools.count()

Call = Callable[[], Awaitable[httpx2.Response]]


class Caller:
    """A program with a key and a clock of its own, for any server of ISSUER."""

    def __init__(
        self, number: int = 0, *, issuer: str = ISSUER, skew: Callable[[], int] = int
    ) -> None:
        self.prover = Prover("ES256", number)
        self.issuer = issuer
        self.nonces: dict[str, str] = {}
        self.proved: list[tuple[str, str]] = []  # where, and with what proof
        self._skew = skew  # how far the server's clock is from the real one

    def proof(self, method: str, path: str, access: str | None = None) -> str:
        place = "token" if access is None else "resource"
        claims = {
            "jti": uuid.uuid4().hex,
            "htm": method,
            "htu": self.issuer + path,
            "iat": int(time.time()) + self._skew(),
            **({"nonce": self.nonces[place]} if place in self.nonces else {}),
            **({} if access is None else {"ath": ath_of(access)}),
        }
        return self.prover.proof(payload=claims)

    async def send(
        self,
        api: Api,
        method: str,
        path: str,
        *,
        access: str | None = None,
        **given: Any,
    ) -> httpx2.Response:
        """With a proof; once more where the server asks for its nonce."""
        place = "token" if access is None else "resource"
        headers = given.pop("headers", {})
        if access is not None:
            headers = {**headers, "Authorization": f"DPoP {access}"}
        while True:
            proof = self.proof(method, path, access)
            sent = {**headers, "DPoP": proof}
            answer = await api.client.request(method, path, headers=sent, **given)
            known = self.nonces.get(place, "")
            self.nonces[place] = answer.headers.get("dpop-nonce", known)
            if "use_dpop_nonce" not in answer.text or self.nonces[place] == known:
                if answer.status_code == 200:
                    self.proved.append((path, proof))
                return answer

    async def login(self, api: Api, name: str = "admin") -> Any:
        body = {"username": name, "password": PASSWORD}
        answer = await self.send(api, "POST", f"{BASE}/login", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def native(self, api: Api, token: str) -> httpx2.Response:
        body = {"refreshToken": token}
        return await self.send(api, "POST", f"{BASE}/refresh", json=body)

    async def oauth(self, api: Api, token: str) -> httpx2.Response:
        return await self.send(api, "POST", "/oauth/token", data=form_of(token))


def form_of(token: str, client: str = FIRST_PARTY) -> dict[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": client,
        "refresh_token": token,
    }


async def refresh(
    api: Api, token: str, retry_key: str | None = None, client: str = FIRST_PARTY
) -> httpx2.Response:
    """A refresh by OAuth."""
    headers = {} if retry_key is None else {"Idempotency-Key": retry_key}
    form = form_of(token, client)
    return await api.client.post("/oauth/token", data=form, headers=headers)


def successor(answer: httpx2.Response) -> str:
    body = answer.json()
    return str(body.get("refresh_token") or body.get("refreshToken"))


def error_of(answer: httpx2.Response) -> str:
    """`ok`, or the code in either shape."""
    body = answer.json()
    return str(body.get("error") or body.get("code") or "ok")


@contextlib.asynccontextmanager
async def operator(folder: Path) -> AsyncIterator[Clients]:
    """What `watchword clients` does beside a server, without its start."""
    async with open_watchword(Settings(data=folder), background=False) as engine:
        yield engine.clients


async def add_clients(folder: Path, *names: str, introspects: str = "") -> str:
    """Public clients, and perhaps one that may introspect, whose secret it returns."""
    async with operator(folder) as clients:
        for name in names:
            await clients.add(name, confidential=False)
        if not introspects:
            return ""
        added = clients.add(
            introspects, confidential=True, rights=["introspect"], checks_dpop=True
        )
        return str((await added)[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


class Program:
    """Refreshes without a pause: bound and without a key, or unbound and with one."""

    def __init__(self, number: int, client: str) -> None:
        self.caller = Caller(number) if client == FIRST_PARTY else None
        self.client = client
        self.token = ""
        self.retry_key: str | None = None
        self.rotations = 0

    async def sign_in(self, api: Api) -> None:
        if self.caller is not None:
            self.token = (await self.caller.login(api))["refreshToken"]
        else:
            self.token = await sign_in_for(api, self.client)

    async def once(self, api: Api) -> None:
        """What got no answer is sent again: with its key, or by the key's holder."""
        if self.caller is not None:
            way = self.caller.oauth if self.rotations % 2 else self.caller.native
            answer = await way(api, self.token)
        else:
            self.retry_key = self.retry_key or key(next(_numbers))
            answer = await refresh(api, self.token, self.retry_key, self.client)
        assert answer.status_code == 200, answer.text
        self.token, self.retry_key = successor(answer), None
        self.rotations += 1

    async def work(self, api: Api) -> None:
        with contextlib.suppress(httpx2.TransportError):
            while True:
                await self.once(api)


async def sign_in_for(api: Api, client: str) -> str:
    body = {"username": "admin", "password": PASSWORD, "clientId": client}
    answer = await api.client.post(f"{BASE}/login", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["refreshToken"])


def have_done(programs: list[Program], rotations: list[int]) -> bool:
    both = zip(programs, rotations, strict=True)
    return all(one.rotations >= least for one, least in both)


async def test_kill_9_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    """A used proof, a revocation and a disabled client outlive it; sessions go on."""
    server = await Server(folder, WATCHWORD_REWIND_LIMIT="0").start()
    programs = [Program(n, FIRST_PARTY) for n in range(3)]
    programs += [Program(n, "app") for n in range(3)]
    dead: list[tuple[str, str]] = []  # client and token, of sessions that were ended
    try:
        await add_clients(folder, "app", "doomed-0", "doomed-1")
        for round_ in range(2):
            async with server.api() as api:
                if not round_:
                    for one in programs:
                        await one.sign_in(api)
                doomed = f"doomed-{round_}"
                dead.append((doomed, await sign_in_for(api, doomed)))
                dead.append(("app", await sign_in_for(api, "app")))
                working = asyncio.gather(*[one.work(api) for one in programs])
                done = [one.rotations + 3 for one in programs]
                await auntil(have_done, programs, done)
                async with operator(folder) as clients:
                    await clients.disable(doomed)
                form = {"client_id": "app", "token": dead[-1][1]}
                answer = await api.client.post("/oauth/revoke", data=form)
                assert answer.status_code == 200
                server.kill()
                await working
            await server.start()
            async with server.api() as api:
                for one in programs[:3]:
                    assert one.caller is not None
                    for path, proof in one.caller.proved[1:][-3:]:  # not the login
                        await _is_used(api, path, proof, one.token)
                for one in programs:
                    await one.once(api)
                for client, token in dead:
                    answer = await refresh(api, token, client=client)
                    refused = "invalid_grant" if client == "app" else "invalid_client"
                    assert error_of(answer) == refused
    finally:
        server.stop()
    assert not server.log.read_text().count("Traceback")


async def _is_used(api: Api, path: str, proof: str, token: str) -> None:
    """Refused for that, with a token that is good."""
    headers = {"DPoP": proof}
    if path == "/oauth/token":
        answer = await api.client.post(path, data=form_of(token), headers=headers)
    else:
        body = {"refreshToken": token}
        answer = await api.client.post(path, json=body, headers=headers)
    assert "used before" in answer.text, answer.text


async def test_one_proof_sent_a_hundred_times_to_two_processes(folder: Path) -> None:
    """It passes exactly once, where tokens are issued and at an API."""
    async with two_processes(folder) as (here, there):
        caller = Caller()
        login = await caller.login(here)
        access, form = login["accessToken"], form_of(login["refreshToken"])
        await caller.send(here, "GET", f"{BASE}/secure", access=access)
        issuing = {"DPoP": caller.proof("POST", "/oauth/token")}
        calling = {
            "DPoP": caller.proof("GET", f"{BASE}/secure", access),
            "Authorization": f"DPoP {access}",
        }
        apis = [here, there] * 50
        issued = [
            api.client.post("/oauth/token", data=form, headers=issuing) for api in apis
        ]
        answers = Counter(map(error_of, await asyncio.gather(*issued)))
        assert answers == {"ok": 1, "invalid_dpop_proof": 99}
        called = [api.client.get(f"{BASE}/secure", headers=calling) for api in apis]
        answers = Counter(map(error_of, await asyncio.gather(*called)))
        assert answers == {"ok": 1, "invalid_dpop_proof": 99}


async def test_a_hundred_refreshes_both_ways_at_once_fork_no_session(
    folder: Path,
) -> None:
    """One successor for who proves a retry, by its key or a DPoP key; else the end."""
    async with two_processes(folder) as (here, there):
        apis = [here, there, there, here] * 25
        caller = Caller()
        bound = (await caller.login(here))["refreshToken"]
        keyed, bare = [(await here.login("admin"))["refreshToken"] for _ in range(2)]
        answers = await asyncio.gather(
            *[
                caller.oauth(api, bound) if place % 2 else caller.native(api, bound)
                for place, api in enumerate(apis)
            ]
        )
        assert Counter(map(error_of, answers)) == {"ok": 100}
        (newest,) = {successor(answer) for answer in answers}
        assert error_of(await caller.oauth(there, newest)) == "ok"
        answers = await asyncio.gather(
            *[
                refresh(api, keyed, key()) if place % 2 else api.refresh(keyed, key())
                for place, api in enumerate(apis)
            ]
        )
        assert Counter(map(error_of, answers)) == {"ok": 100}
        (newest,) = {successor(answer) for answer in answers}
        assert error_of(await refresh(there, newest)) == "ok"
        answers = await asyncio.gather(
            *[
                refresh(api, bare) if place % 2 else api.refresh(bare)
                for place, api in enumerate(apis)
            ]
        )
        (winner,) = [a for a in answers if a.status_code == 200]
        assert error_of(await refresh(there, successor(winner))) == "invalid_grant"


async def test_without_room_on_the_disk_every_endpoint_says_so_in_its_own_words(
    folder: Path,
) -> None:
    """503 with Retry-After, nothing is spent, and what needs no write goes on."""
    server = await Server(folder).start()
    try:
        secret = await add_clients(folder, introspects="api")
        async with server.api() as api:
            caller = Caller()
            plain, bound = await api.login("admin"), await caller.login(api)
            access = bound["accessToken"]
            await caller.send(api, "GET", f"{BASE}/secure", access=access)
            before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
            room = (folder / "watchword.db-wal").stat().st_size
            assert room > server.log.stat().st_size + 4096  # it grows there as well
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (room, before[1]))
            calls = _writing_calls(api, caller, plain, bound)
            for name, (call, expected) in calls.items():
                answer = await call()
                retry = int(answer.headers.get("retry-after", 0)) > 0
                shown = (answer.status_code, error_of(answer), retry)
                assert shown == expected, name
            asking = {"token": access, "client_id": "api", "client_secret": secret}
            answer = await api.client.post("/oauth/introspect", data=asking)
            assert answer.json()["active"] is True
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)
            assert error_of(await refresh(api, plain["refreshToken"])) == "ok"
            assert error_of(await caller.oauth(api, bound["refreshToken"])) == "ok"
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()


def _writing_calls(
    api: Api, caller: Caller, plain: Any, bound: Any
) -> dict[str, tuple[Call, tuple[int, str, bool]]]:
    """What must write before it answers, and what it says when it cannot."""
    post = api.client.post
    ended = {"client_id": FIRST_PARTY, "token": plain["accessToken"]}
    wrong = {"client_id": "api", "client_secret": "wrong", "token": "x"}
    token, access = plain["refreshToken"], bound["accessToken"]
    return {
        "login": (lambda: api.try_login("admin", PASSWORD), NATIVE_DOWN),
        "refresh": (lambda: api.refresh(token), NATIVE_DOWN),
        "bound refresh": (
            lambda: caller.native(api, bound["refreshToken"]),
            NATIVE_DOWN,
        ),
        "logout": (lambda: api.logout(token), NATIVE_DOWN),
        "logout-all": (lambda: api.logout_all(plain["accessToken"]), NATIVE_DOWN),
        "bound call": (
            lambda: caller.send(api, "GET", f"{BASE}/secure", access=access),
            NATIVE_DOWN,
        ),
        "token": (lambda: refresh(api, token, key()), OAUTH_DOWN),
        "bound token": (lambda: caller.oauth(api, bound["refreshToken"]), OAUTH_DOWN),
        "revoke": (lambda: post("/oauth/revoke", data=ended), OAUTH_DOWN),
        "wrong secret": (lambda: post("/oauth/introspect", data=wrong), OAUTH_DOWN),
    }


async def test_a_connection_cut_off_in_the_answer_costs_nothing(folder: Path) -> None:
    """At /oauth/token, wherever it breaks: the same request again is answered."""
    server = await Server(folder).start()
    try:
        async with server.api() as api:
            token = (await api.login("admin"))["refreshToken"]
            for read in (0, 1, 40, 200, 600, 0, 900):
                retry_key = key(next(_numbers))
                await asyncio.to_thread(_cut_off, server.port, token, retry_key, read)
                again = [await refresh(api, token, retry_key) for _ in range(2)]
                assert [error_of(answer) for answer in again] == ["ok", "ok"]
                (token,) = {successor(answer) for answer in again}
    finally:
        server.stop()


def _cut_off(port: int, token: str, retry_key: str, read: int) -> None:
    """Send a refresh, read so many bytes of its answer and reset the connection."""
    body = urlencode(form_of(token)).encode()
    head = (
        "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n"
        f"Idempotency-Key: {retry_key}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        reset = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        connection.sendall(head.encode() + body)
        left = read
        while left:
            left -= len(connection.recv(left))


async def test_introspection_tells_of_an_end_on_the_other_process(
    folder: Path,
) -> None:
    """However a session ended: at once here, soon there, and for good."""
    async with two_processes(folder) as (here, there):
        secret = await add_clients(folder, "app", introspects="api")

        async def active(api: Api, token: str) -> bool:
            form = {"token": token, "client_id": "api", "client_secret": secret}
            answer = await api.client.post("/oauth/introspect", data=form)
            assert answer.status_code == 200, answer.text
            return bool(answer.json()["active"])

        for end in ("revoke", "reuse", "disable"):
            body = {"username": "admin", "password": PASSWORD}
            body["clientId"] = "app" if end == "disable" else FIRST_PARTY
            login = (await here.client.post(f"{BASE}/login", json=body)).json()
            access = login["accessToken"]
            assert await active(here, access)
            assert await active(there, access)
            if end == "revoke":
                form = {"client_id": FIRST_PARTY, "token": access}
                await here.client.post("/oauth/revoke", data=form)
            elif end == "reuse":
                for _ in range(2):
                    await refresh(here, login["refreshToken"])
            else:
                async with operator(folder) as clients:
                    await clients.disable("app")
            assert end == "disable" or not await active(here, access)

            async def ended(access: str = access) -> bool:
                return not await active(there, access) and not await active(
                    here, access
                )

            await auntil(ended)
            for _ in range(10):
                assert not await active(there, access)


async def test_a_clock_that_jumps_an_hour_ends_no_bound_session(tmp_path: Path) -> None:
    """Forward and back: a nonce is asked for at most, and no used proof is good."""
    begun = int(time.time())
    clock = ManualClock(begun * 1000)
    settings = settings_for(tmp_path, "sqlite")
    async with local_api(settings, clock) as api:
        caller = Caller(
            issuer="https://auth.example",
            skew=lambda: clock.now // 1000 - int(time.time()),
        )
        token = (await caller.login(api, "alice"))["refreshToken"]
        for jump in (HOUR, -HOUR, -HOUR, HOUR):
            clock.advance(jump)
            answer = await caller.oauth(api, token)
            assert error_of(answer) == "ok"
            # Without a retry key: it proves its own.
            while (retry := await caller.native(api, token)).status_code == THROTTLED:
                clock.advance(int(retry.headers["retry-after"]) * SECOND)
            assert successor(retry) == successor(answer)
            access, token = answer.json()["access_token"], successor(answer)
            called = await caller.send(api, "GET", f"{BASE}/secure", access=access)
            assert error_of(called) == "ok"
            for path, proof in caller.proved[1:-1]:
                if path != f"{BASE}/secure":
                    await _is_refused(api, path, proof, token)
        assert await _reuses(api) == 0


async def _is_refused(api: Api, path: str, proof: str, token: str) -> None:
    oauth = path == "/oauth/token"
    body: dict[str, Any] = {"json": {"refreshToken": token}}
    sent = {"data": form_of(token)} if oauth else body
    answer = await api.client.post(path, headers={"DPoP": proof}, **sent)
    assert error_of(answer) in {"invalid_dpop_proof", "use_dpop_nonce"}


async def _reuses(api: LocalApi) -> int:
    events = [event for _, event in await api.engine.stores.audit.read(0, 1000)]
    return [event.type for event in events].count(EventType.TOKEN_REUSE)


async def test_a_client_disabled_while_its_refresh_is_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refresh is refused, and enabling the client again revives nothing."""
    async with local_api(settings_for(tmp_path, "sqlite"), ManualClock()) as api:
        clients, stores = api.engine.clients, api.engine.stores
        await clients.add("app", confidential=False)
        body = {"username": "alice", "password": PASSWORD, "clientId": "app"}
        login = (await api.client.post(f"{BASE}/login", json=body)).json()
        swap = stores.sessions.swap

        async def disabled_first(changes: list[Change]) -> Sequence[bool]:
            monkeypatch.setattr(stores.sessions, "swap", swap)
            assert await clients.disable("app") == 1
            return await swap(changes)

        monkeypatch.setattr(stores.sessions, "swap", disabled_first)
        answer = await refresh(api, login["refreshToken"], key(), "app")
        assert error_of(answer) == "invalid_grant"
        await clients.enable("app")
        answer = await refresh(api, login["refreshToken"], key(), "app")
        assert error_of(answer) == "invalid_grant"
        access = bearer(login["accessToken"])
        answer = await api.client.get(f"{BASE}/secure", headers=access)
        assert error_of(answer) == "token_revoked"
