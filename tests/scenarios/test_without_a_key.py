"""Clients that send no retry key: forgiven from where they are, caught from elsewhere.

No OAuth client that others wrote sends an `Idempotency-Key`, and many refresh from
several threads at once. Clients made with `clients add` have a grace of 10 s for that.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.scenarios.api import BASE, PASSWORD, Api, LocalApi, Server, code_of
from tests.scenarios.world import ON_EVERY_STORE, settle
from tests.servers.stores import STORES
from watchword.core.limits import SECOND
from watchword.ports.audit import EventType
from watchword.testing import ManualClock

CLIENT: Final = "their-app"
OFFICE, HOME, NEXT_DOOR = "192.0.2.7", "2001:db8:0:1::7", "2001:db8:0:1:a:b:c:d"
ELSEWHERE: Final = "198.51.100.9"
MANY: Final = 20


class Theirs:
    """The client, called from one address."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def sign_in(self) -> str:
        body = {"username": "alice", "password": PASSWORD, "clientId": CLIENT}
        answer = await self.api.client.post(f"{BASE}/login", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["refreshToken"])

    async def refresh(self, token: str) -> httpx2.Response:
        form = {"client_id": CLIENT, "refresh_token": token}
        form["grant_type"] = "refresh_token"
        return await self.api.client.post("/oauth/token", data=form)

    async def successor(self, token: str) -> str:
        answer = await self.refresh(token)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["refresh_token"])


async def added(api: LocalApi, **given: Any) -> None:
    await api.engine.clients.add(CLIENT, confidential=False, **given)


@ON_EVERY_STORE
@pytest.mark.parametrize("address", [OFFICE, HOME])
async def test_parallel_refreshes_get_one_successor_and_the_session_lives(
    api: LocalApi, address: str
) -> None:
    """And one that comes a second later from elsewhere ends the session."""
    await added(api)
    here, there = Theirs(api.at(address)), Theirs(api.at(ELSEWHERE))
    r0 = await here.sign_in()
    answers = await asyncio.gather(*[here.refresh(r0) for _ in range(MANY)])
    assert [answer.status_code for answer in answers] == [200] * MANY
    (r1,) = {answer.json()["refresh_token"] for answer in answers}
    r2 = await here.successor(r1)
    api.clock.advance(SECOND)
    refused = await there.refresh(r1)
    assert refused.json()["error"] == "invalid_grant"
    assert (await here.refresh(r2)).json()["error"] == "invalid_grant"
    (event,) = await events(api, EventType.TOKEN_REUSE)
    assert (event.address, event.detail["rotated_from"]) == (ELSEWHERE, address)
    assert (event.detail["presented"], event.detail["current"]) == (1, 2)


async def events(api: LocalApi, kind: EventType) -> list[Any]:
    await settle(api.engine.stores)
    found = [event for _, event in await api.engine.stores.audit.read(0, 1000)]
    return [event for event in found if event.type is kind]


@pytest.mark.parametrize(
    ("first", "again"),
    [(OFFICE, OFFICE), (OFFICE, f"::ffff:{OFFICE}"), (HOME, NEXT_DOOR)],
    ids=["IPv4", "IPv4 in IPv6", "one /64"],
)
async def test_a_lost_answer_is_given_again_a_second_later(
    api: LocalApi, first: str, again: str
) -> None:
    await added(api)
    r0 = await Theirs(api.at(first)).sign_in()
    lost = await Theirs(api.at(first)).successor(r0)
    api.clock.advance(SECOND)
    assert await Theirs(api.at(again)).successor(r0) == lost
    api.clock.advance(9 * SECOND)  # a retry renews no grace
    late = await Theirs(api.at(again)).refresh(r0)
    assert late.json()["error"] == "invalid_grant"


async def test_the_grace_is_the_clients_wherever_it_refreshes(api: LocalApi) -> None:
    """At /refresh too; with none of it, a spent token is reuse at once."""
    for name, grace in (("lenient", 60 * SECOND), ("strict", 0)):
        await api.engine.clients.add(name, confidential=False, grace=grace)
        body = {"username": "alice", "password": PASSWORD, "clientId": name}
        login = (await api.client.post(f"{BASE}/login", json=body)).json()
        sent = {"refreshToken": login["refreshToken"], "clientId": name}
        codes = [
            code_of(await api.client.post(f"{BASE}/refresh", json=sent))
            for _ in range(2)
        ]
        assert codes == ["ok", "ok" if grace else "refresh_reused"]


async def test_a_new_grace_is_for_sessions_that_begin_then(api: LocalApi) -> None:
    await added(api)
    here = Theirs(api.at(OFFICE))
    old = await here.sign_in()
    await api.engine.clients.update(CLIENT, grace=0)
    api.clock.advance(SECOND)  # what was read of it is that old at most
    new = await here.sign_in()
    for token, twice in ((old, 200), (new, 400)):
        await here.successor(token)
        assert (await here.refresh(token)).status_code == twice


async def test_retries_in_the_grace_are_bounded_and_flood_no_log(
    api: LocalApi,
) -> None:
    """One event a generation, and one more where the rest of the /64 asks again."""
    await added(api, grace=60 * SECOND)
    here = Theirs(api.at(HOME))
    r0 = await here.sign_in()
    codes = []
    for _ in range(130):
        answer = await here.refresh(r0)
        codes.append(answer.status_code)
    assert codes.count(200) == 121  # a rotation, and 120 retries at once
    assert codes.count(429) == 9
    assert len(await events(api, EventType.TOKEN_RETRY)) == 1
    api.clock.advance(20 * SECOND)
    for number in range(10):
        await Theirs(api.at(f"2001:db8:0:1::{number}")).successor(r0)
    assert len(await events(api, EventType.TOKEN_RETRY)) == 2


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-16", "valkey-9"])
async def test_over_two_processes(kind: str, tmp_path: Path) -> None:
    """First-party, with WATCHWORD_ROTATION_GRACE; over real connections."""
    place = STORES[kind].place(tmp_path / "data")
    settings = {
        "WATCHWORD_DATABASE_URL": place.url,
        "WATCHWORD_SECRET": "the-secret-of-both-servers-0123456789abcdef",
        "WATCHWORD_ROTATION_GRACE": "60s",
    }
    if place.sessions is not None:
        settings["WATCHWORD_SESSION_STORE_URL"] = place.sessions
    one, two = (
        Server(tmp_path / "data", name=name, **settings) for name in ("one", "two")
    )
    try:
        for server in (one.launch(), two.launch()):
            await server.wait_until_ready()
        async with (
            one.api() as here,
            two.api() as there,
            two.api(address="127.0.0.2") as thief,
        ):
            r0 = (await here.login("admin"))["refreshToken"]
            requested = [api.refresh(r0) for api in [here, there] * (MANY // 2)]
            answers = await asyncio.gather(*requested)
            assert [answer.status_code for answer in answers] == [200] * MANY
            (r1,) = {answer.json()["refreshToken"] for answer in answers}
            r2 = (await there.refresh(r1)).json()["refreshToken"]
            assert code_of(await thief.refresh(r1)) == "refresh_reused"
            assert code_of(await here.refresh(r2)) == "session_revoked"
    finally:
        one.stop()
        two.stop()


async def test_behind_a_proxy_the_network_is_the_callers(tmp_path: Path) -> None:
    """Not the proxy's, which all callers share."""
    proxied = {
        "WATCHWORD_BEHIND_PROXY": "127.0.0.1",
        "WATCHWORD_ROTATION_GRACE": "60s",
    }
    server = Server(tmp_path / "data", **proxied)
    try:
        await server.start()
        async with server.api() as api:
            headers = api.client.headers
            headers["X-Forwarded-Proto"] = "https"
            headers["X-Forwarded-For"] = OFFICE
            r0 = (await api.login("admin"))["refreshToken"]
            answers = [await api.refresh(r0) for _ in range(2)]
            assert [code_of(answer) for answer in answers] == ["ok", "ok"]
            headers["X-Forwarded-For"] = ELSEWHERE
            assert code_of(await api.refresh(r0)) == "refresh_reused"
    finally:
        server.stop()


async def test_without_an_address_there_is_no_grace(
    api: LocalApi, clock: ManualClock
) -> None:
    """A socket of the file system, or a host framework that does not say."""
    await added(api)
    nowhere = Theirs(api.at(""))
    r0 = await nowhere.sign_in()
    await nowhere.successor(r0)
    clock.advance(SECOND)
    assert (await nowhere.refresh(r0)).json()["error"] == "invalid_grant"
