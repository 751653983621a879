"""Several processes behind one port: they die, hang and are replaced; nobody notices.

On SQLite: one machine is enough for these.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from tests.patience import auntil
from tests.scenarios.api import Server, settings_for
from tests.scenarios.people import REST, alive, at_work, more_from, workers_of
from watchword.first_start import prepare
from watchword.server import workers
from watchword.server.workers import Workers


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Two workers, both of them serving, at two listeners."""
    given = {"WATCHWORD_WORKERS": "2", "WATCHWORD_ADMIN_LISTEN": "127.0.0.1:0"}
    async with Server(tmp_path / "data", **given) as server:
        yield server


async def test_a_worker_that_is_killed_is_replaced_and_only_its_callers_notice(
    server: Server,
) -> None:
    """What they had in flight they ask for again; nobody is logged out."""
    async with at_work([server]) as people:
        await more_from(people)
        before = workers_of(server)
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        await auntil(lambda: len(workers_of(server) - before) == 1)
        await more_from(people)
        # A connection to the one that died breaks, once; the others stand.
        assert max(person.broken for person in people) <= 1
    assert len(workers_of(server) & before) == 1


async def test_sighup_replaces_the_workers_one_by_one_and_refuses_no_connection(
    server: Server,
) -> None:
    """A renewed certificate, say: each new one serves before an old one stops."""
    stop = asyncio.Event()

    async def knock() -> int:
        """A new connection for each request: none is refused, at no listener."""
        (console,) = re.findall(r"\nAdmin (.+)/console\n", server.log.read_text())
        count = 0
        while not stop.is_set():
            url = (server.url, console)[count % 2]
            async with httpx2.AsyncClient(trust_env=False) as client:
                try:
                    answer = await client.get(f"{url}/healthz")
                    assert answer.status_code == 200
                except httpx2.ConnectError:
                    return -1
                except httpx2.TransportError:  # accepted by one that was stopping
                    continue
            count += 1
            await asyncio.sleep(REST)
        return count

    async with at_work([server], 2) as people:
        knocking = asyncio.create_task(knock())
        await more_from(people)
        before = workers_of(server)
        os.kill(server.pid, signal.SIGHUP)
        await auntil(lambda: not workers_of(server) & before)
        await more_from(people)
        stop.set()
        assert await knocking > 0
    assert len(workers_of(server)) == 2


async def test_workers_whose_parent_was_killed_stop_and_free_the_port(
    server: Server,
) -> None:
    left = workers_of(server)
    async with server.api() as api:
        tokens = await api.login("admin")
    server.kill()
    await auntil(lambda: not any(map(alive, left)))
    await server.start()  # on the same port
    async with server.api() as api:
        assert (await api.refresh(tokens["refreshToken"])).status_code == 200


@pytest.fixture
def listener() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    return listening


async def test_a_worker_that_hangs_is_killed_in_the_end(
    tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM of the parent ends all, in the time that container runtimes allow."""
    assert workers.STOP_SECONDS < 10
    monkeypatch.setattr(workers, "STOP_SECONDS", 0.5)
    settings = settings_for(tmp_path, "sqlite", workers=2)
    await prepare(settings)
    with listener:
        both = Workers(settings, [listener])
        running = asyncio.create_task(both.run())
        await auntil(lambda: len(both._workers) == 2)
        for worker in tuple(both._workers):
            assert await worker.serves
        pids = [worker.pid for worker in both._workers]
        os.kill(pids[0], signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    assert not any(map(alive, pids))


async def test_where_the_first_workers_cannot_start_there_is_no_server(
    tmp_path: Path, listener: socket.socket
) -> None:
    """Here: the secret is another one now. It does not try for ever."""
    settings = settings_for(tmp_path, "sqlite", workers=2)
    await prepare(settings)
    other = (SecretStr("another-server-secret-0123456789-0123456789"),)
    with listener:
        wrong = settings.model_copy(update={"secret": other})
        assert await Workers(wrong, [listener]).run() == 1


async def test_a_worker_that_cannot_start_beside_one_that_serves_is_replaced(
    tmp_path: Path, listener: socket.socket
) -> None:
    """The database went away just then, say. The one that serves goes on meanwhile."""
    settings = settings_for(tmp_path, "sqlite", workers=2)
    await prepare(settings)
    with listener:
        both = Workers(settings, [listener])
        running = asyncio.create_task(both.run())
        await auntil(lambda: len(both._workers) == 2)
        first, second = both._workers
        os.kill(second.pid, signal.SIGSTOP)  # long before it serves
        assert await first.serves
        os.kill(second.pid, signal.SIGKILL)
        await second.over.wait()
        await auntil(lambda: len(both._workers) == 2)
        assert await both._workers[1].serves
        assert both._workers[0] is first
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0


async def test_workers_that_are_launched_together_leave_ctrl_c_to_the_parent(
    tmp_path: Path, listener: socket.socket
) -> None:
    """As where two have died at once. SIGINT is blocked while each is launched."""
    settings = settings_for(tmp_path, "sqlite", workers=2)
    await prepare(settings)
    with listener:
        both = Workers(settings, [listener])
        async with both._tasks:
            launched = await asyncio.gather(both._start(), both._start())
            blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            both._give_up()  # none takes their place
            await asyncio.gather(*(one.stop() for one in launched if one is not None))
    assert signal.SIGINT not in blocked
