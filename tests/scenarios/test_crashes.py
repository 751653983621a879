"""Kill -9 in the middle of load, twenty times over.

Eight clients refresh without a pause, each with a key that it stored before sending;
now and then one logs out. The server is killed, started again on the same folder, and
every client goes on from what it had stored. A rewind limit of 0: a rotation that was
acknowledged and then lost would end the session, and so be seen.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import httpx2

from tests.scenarios.api import Api, Server, code_of
from tests.scenarios.world import key
from watchword.ports import EventType
from watchword.stores import open_store
from watchword.testing import SeededEntropy

ROUNDS = 20
CLIENTS = 8


class Client:
    """What a client keeps on its own disk: the newest token, and what it had sent."""

    def __init__(self, number: int) -> None:
        self._draw = random.Random(number)
        self._keys = number * 1_000_000
        self.token: str | None = None
        self.sent: tuple[str, str] | None = None  # what, and with which key
        self.rotations = 0
        self.healed = 0
        self.logged_out: list[str] = []  # acknowledged

    async def sign_in(self, api: Api) -> None:
        """Before the load: a sign-in that is cut off counts as a failed one."""
        if self.token is None:
            self.token = (await api.login("admin"))["refreshToken"]

    async def run(self, api: Api, answered: asyncio.Semaphore) -> None:
        """Refresh until the server dies; first, what had no answer last time."""
        try:
            if self.sent is not None:
                await self._send(api)
                self.healed += 1
            while self.token is not None:
                self._keys += 1
                what = "logout" if self._draw.random() < 0.01 else "refresh"
                self.sent = (what, key(self._keys))
                await self._send(api)
                answered.release()
        except httpx2.TransportError:
            return

    async def _send(self, api: Api) -> None:
        assert self.sent is not None
        assert self.token is not None
        what, retry_key = self.sent
        if what == "logout":
            answer = await api.logout(self.token)
            assert answer.status_code == 200, answer.text
            self.logged_out.append(self.token)
            self.token = None
        else:
            answer = await api.refresh(self.token, retry_key)
            assert answer.status_code == 200, answer.text
            self.token = answer.json()["refreshToken"]
            self.rotations += 1
        self.sent = None


async def test_s02_kill_9_under_load_loses_no_acknowledged_rotation_or_revocation(
    tmp_path: Path,
) -> None:
    clients = [Client(number) for number in range(CLIENTS)]
    draw = random.Random(2)
    server = Server(tmp_path / "data", WATCHWORD_REWIND_LIMIT="0")
    try:
        for _ in range(ROUNDS):
            await server.start()
            answered = asyncio.Semaphore(0)
            async with server.api() as api:
                await _still_revoked(api, clients)
                for one in clients:
                    await one.sign_in(api)
                running = asyncio.gather(*[one.run(api, answered) for one in clients])
                for _ in range(draw.randrange(50, 250)):
                    await _one_more(answered, running)
                server.kill()
                await running
        await server.start()
        async with server.api() as api:
            await _still_revoked(api, clients)
            await _everybody_goes_on(api, clients)
    finally:
        server.stop()
    assert sum(client.rotations for client in clients) > ROUNDS * 30
    # The kills did hit requests in flight.
    assert sum(client.healed for client in clients) > ROUNDS
    assert EventType.TOKEN_REUSE not in await _kinds_of_events(tmp_path / "data")


async def _one_more(
    answered: asyncio.Semaphore, running: asyncio.Future[list[None]]
) -> None:
    """Wait for one more answer, or until all have logged out; faults are raised."""
    more: asyncio.Future[Any] = asyncio.ensure_future(answered.acquire())
    both: set[asyncio.Future[Any]] = {more, running}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    more.cancel()
    if running.done():
        running.result()


async def _still_revoked(api: Api, clients: list[Client]) -> None:
    for client in clients:
        for token in client.logged_out[-2:]:
            answer = await api.refresh(token, key(0))
            assert code_of(answer) == "session_revoked"


async def _everybody_goes_on(api: Api, clients: list[Client]) -> None:
    for client in clients:
        if client.sent is not None:
            await client._send(api)
        if client.token is not None:
            answer = await api.refresh(client.token, key(0))
            assert code_of(answer) == "ok"


async def _kinds_of_events(folder: Path) -> set[EventType]:
    store = await open_store(f"sqlite:///{folder}/watchword.db", SeededEntropy())
    kinds: set[EventType] = set()
    after = 0
    while page := await store.read_events(after, 1000):
        kinds |= {event.type for _, event in page}
        after = page[-1][0]
    await store.close()
    return kinds
