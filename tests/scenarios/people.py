"""People at work: they refresh and call all the time, at whichever server answers.

A person stores the retry key before it is sent, and goes on with it, at the next
server, where a connection is refused or broken or the answer is 503.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.patience import auntil
from tests.scenarios.api import Api, Server
from tests.scenarios.world import key

REST = 0.005  # seconds
Call = Callable[[Api], Awaitable[httpx2.Response]]


class Person:
    """Signs in, then works until told to stop. `refused` is what must not be."""

    def __init__(self, apis: Sequence[Api], number: int) -> None:
        self._apis = apis
        self._at = number % len(apis)
        self._keys = number * 1_000_000
        self.refused: list[str] = []
        self.broken = 0
        self.rotations = 0
        self.tokens: Any = None

    async def sign_in(self) -> None:
        self.tokens = await self._apis[self._at].login("admin")

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._keys += 1
            for step in (self._refresh, self._call):
                answer = await self._until_answered(step)
                if answer.status_code != 200:
                    self.refused.append(answer.text)
                    return
                if step == self._refresh:
                    self.tokens = answer.json()
                    self.rotations += 1
            # Without any rest they take the processors that the story is waiting for.
            await asyncio.sleep(REST)

    async def _refresh(self, api: Api) -> httpx2.Response:
        return await api.refresh(self.tokens["refreshToken"], key(self._keys))

    async def _call(self, api: Api) -> httpx2.Response:
        return await api.secure(self.tokens["accessToken"])

    async def _until_answered(self, send: Call) -> httpx2.Response:
        """The first answer that is one, from any server."""
        while True:
            with contextlib.suppress(httpx2.TransportError):
                answer = await send(self._apis[self._at])
                if answer.status_code != 503:
                    return answer
            self.broken += 1
            self._at = (self._at + 1) % len(self._apis)
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def at_work(
    servers: Sequence[Server], count: int = 4
) -> AsyncIterator[list[Person]]:
    """People who work until the block ends; then nobody may have been refused."""
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        people = []
        for number in range(count):  # a connection of their own to each server
            apis = [
                await stack.enter_async_context(server.api(connections=1))
                for server in servers
            ]
            people.append(Person(apis, number))
            await people[-1].sign_in()  # one by one: sign-ins of one name are counted
        async with asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(person.work(stop))
            try:
                yield people
            finally:
                stop.set()
        assert [person.refused for person in people] == [[]] * count


async def more_from(people: Sequence[Person]) -> None:
    """Until each of them has got on with it."""
    before = [person.rotations for person in people]
    await auntil(
        lambda: all(
            person.rotations > past + 1
            for person, past in zip(people, before, strict=True)
        )
    )


def workers_of(server: Server) -> set[int]:
    """The processes that a parent has."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return set(map(int, children.read_text().split()))


def alive(pid: int) -> bool:
    """Whether there is such a process, and not only what nobody has asked about."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
