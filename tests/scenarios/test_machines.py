"""Several servers over one PostgreSQL, as machines have it: a data folder each.

What they share is the database and the server secret. People go on at another server
where one does not answer (people.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.patience import auntil
from tests.scenarios.api import Api, Server, code_of
from tests.scenarios.people import at_work, more_from, workers_of
from tests.scenarios.world import key
from tests.servers.postgresql import Postgresql, postgresql
from tests.servers.redis import single
from watchword.core.limits import THROTTLE_NAME_BURST
from watchword.stores import open_stores
from watchword.testing import SeededEntropy

PROGRAM: Final = Path(sys.executable).with_name("watchword")
SECRET: Final = "the-secret-of-all-servers-0123456789abcdef"


def machine(folder: Path, number: int, url: str, **more: str) -> Server:
    """A server with a data folder that no other has."""
    return Server(
        folder / f"machine{number}",
        WATCHWORD_DATABASE_URL=url,
        WATCHWORD_SECRET=SECRET,
        **more,
    )


@contextlib.asynccontextmanager
async def running(servers: Sequence[Server]) -> AsyncIterator[None]:
    """Each of them, once the one before serves."""
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            stack.callback(server.launch().stop)
            await server.wait_until_ready()
        yield


@pytest.fixture
def url() -> str:
    return postgresql().new_database()


async def test_several_start_at_once_on_an_empty_database(
    tmp_path: Path, url: str
) -> None:
    """One ring of keys, one admin; what one gives is good with the others."""
    servers = [machine(tmp_path, number, url) for number in range(3)]
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.launch().stop)
        await asyncio.gather(*(server.wait_until_ready() for server in servers))
        tokens = []
        for server in servers:
            async with server.api() as api:
                tokens.append(await api.login("admin"))
        for server in servers:
            async with server.api() as api:
                for one in tokens:
                    assert code_of(await api.secure(one["accessToken"])) == "ok"
    stores = await open_stores(url, SeededEntropy())
    revision, keys = await stores.keys.load()
    accounts = await stores.accounts.list(limit=10)
    await stores.backend.close()
    assert revision == 1
    assert sorted(one.state for one in keys) == ["active", "next"]
    assert [account.name for account in accounts] == ["admin"]
    assert not any(server.folder.exists() for server in servers)  # nothing to keep


async def test_a_rolling_restart_under_load_fails_nobody(
    tmp_path: Path, url: str
) -> None:
    """Each in turn finishes what is in flight, is away, and comes back."""
    servers = [machine(tmp_path, number, url) for number in range(2)]
    async with running(servers), at_work(servers) as people:
        for server in servers:
            await more_from(people)
            assert await asyncio.to_thread(server.stop) == 0
            await more_from(people)
            await server.start()
        await more_from(people)


class Caller:
    """One connection, and so one process; refuses to be accepted again."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def accepted(self, access: str) -> bool:
        code = code_of(await self._api.secure(access))
        assert code in ("ok", "token_revoked")
        return code == "ok"

    async def sees_the_end(self, access: str) -> None:
        async def ended() -> bool:
            return not await self.accepted(access)

        await auntil(ended)
        for _ in range(10):
            assert not await self.accepted(access)
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def callers(servers: Sequence[Server]) -> AsyncIterator[list[Caller]]:
    """Connections that stay open, several to each server: they meet all its workers."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            Caller(await stack.enter_async_context(server.api(connections=1)))
            for server in [*servers] * 4
        ]


@pytest.mark.parametrize(
    "redis",
    [
        pytest.param(False, id="postgresql", marks=pytest.mark.slow),
        pytest.param(True, id="redis beside it"),
    ],
)
async def test_an_end_reaches_every_process_on_every_machine(
    tmp_path: Path, url: str, *, redis: bool
) -> None:
    """Logout, reuse, and an operator; then a guesser is held off everywhere."""
    more = {"WATCHWORD_SESSION_STORE_URL": single().url()} if redis else {}
    servers = [
        machine(tmp_path, number, url, WATCHWORD_WORKERS=workers, **more)
        for number, workers in enumerate("12" if redis else "21")
    ]
    async with (
        running(servers),
        callers(servers) as everywhere,
        servers[0].api() as here,
        servers[1].api() as there,
    ):

        async def by_logout(tokens: Any) -> None:
            await there.logout(tokens["refreshToken"])

        async def by_reuse(tokens: Any) -> None:
            await here.refresh(tokens["refreshToken"], key(1))
            await there.refresh(tokens["refreshToken"], key(2))

        async def by_operator(_: Any) -> None:
            words = [str(PROGRAM), "sessions", "revoke", "--user", "admin"]
            words += ["--data", str(tmp_path)]
            command = await asyncio.create_subprocess_exec(
                *words, env=servers[-1].environment, stdout=subprocess.DEVNULL
            )
            assert await command.wait() == 0

        for end in (by_logout, by_reuse, by_operator):
            tokens = await here.login("admin")
            access = tokens["accessToken"]
            assert all([await one.accepted(access) for one in everywhere])
            await end(tokens)
            async with asyncio.TaskGroup() as group:
                for one in everywhere:
                    group.create_task(one.sees_the_end(access))

        for number in range(THROTTLE_NAME_BURST):
            guessed = (here, there)[number % 2].try_login("admin", "wrong" * 5)
            assert code_of(await guessed) == "invalid_credentials"
        last = await there.try_login("admin", "wrong" * 5)
        assert code_of(last) == "throttled"


async def test_while_the_database_is_away_nothing_is_ready_and_nobody_logged_out(
    tmp_path: Path,
) -> None:
    """Not even where a worker dies meanwhile: its place is taken in the end."""
    database = Postgresql().init().start()
    server = machine(tmp_path, 0, database.new_database(), WATCHWORD_WORKERS="2")
    try:
        async with running([server]), server.api() as api:
            tokens = await api.login("admin")
            before = workers_of(server)
            database.kill()
            ready = await api.client.get("/readyz")
            assert (ready.status_code, code_of(ready)) == (503, "store_unavailable")
            requested = await api.refresh(tokens["refreshToken"], key(1))
            assert (requested.status_code, code_of(requested)) == (
                503,
                "store_unavailable",
            )
            assert code_of(await api.secure(tokens["accessToken"])) == "ok"
            os.kill(min(before), signal.SIGKILL)
            await auntil(lambda: "another takes its place" in server.log.read_text())
            database.start()
            await auntil(lambda: len(workers_of(server)) == 2)
            await server.wait_until_ready()
            async with server.api() as again:
                answer = await again.refresh(tokens["refreshToken"], key(1))
                assert code_of(answer) == "ok"
    finally:
        database.stop()
