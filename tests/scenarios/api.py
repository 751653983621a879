"""The HTTP surface in this process, and as processes of its own that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import httpx2
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.patience import PATIENCE
from tests.servers.forked import Forked
from tests.servers.process import end
from tests.servers.stores import STORES
from watchword.bootstrap import Watchword
from watchword.config import Settings
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.server.app import make_app
from watchword.testing import ManualClock, SeededEntropy

PASSWORD = "correct horse battery staple 41"
BASE = "/api/auth"
RUNNER = Path(__file__).with_name("runner.py")


class Api:
    """A client of the API, and the engine behind it where that is in this process."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def login(self, name: str = "alice", password: str = PASSWORD) -> Any:
        answer = await self.try_login(name, password)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def try_login(self, name: str, password: str) -> httpx2.Response:
        body = {"username": name, "password": password}
        return await self.client.post(f"{BASE}/login", json=body)

    async def refresh(self, token: str, key: str | None = None) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"refreshToken": token}
        return await self.client.post(f"{BASE}/refresh", json=body, headers=headers)

    async def logout(self, token: str) -> httpx2.Response:
        return await self.client.post(f"{BASE}/logout", json={"refreshToken": token})

    async def logout_all(self, access: str) -> httpx2.Response:
        return await self.client.post(f"{BASE}/logout-all", headers=bearer(access))

    async def secure(self, access: str) -> httpx2.Response:
        return await self.client.get(f"{BASE}/secure", headers=bearer(access))

    async def code_of(self, answer: httpx2.Response) -> str:
        return code_of(answer)


class LocalApi(Api):
    """The application in this process, under a manual clock."""

    def __init__(
        self, application: ASGIApp, engine: Watchword, clock: ManualClock
    ) -> None:
        super().__init__(_client_of(application, "127.0.0.1"))
        self.application = application
        self.engine = engine
        self.clock = clock

    async def id_of(self, name: str) -> bytes:
        """The id of the account of that name."""
        return (await self.engine.accounts.get(name)).id

    def at(self, address: str) -> Api:
        """The same application, called from another address."""
        return Api(_client_of(self.application, address))


def _client_of(application: ASGIApp, address: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(application, client=(address, 123))
    return httpx2.AsyncClient(transport=transport, base_url="https://auth.example")


def bearer(access: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access}"}


def code_of(answer: httpx2.Response) -> str:
    """`ok`, or the problem's code."""
    if answer.status_code < 400:
        return "ok"
    return str(answer.json()["code"])


def settings_for(folder: Path, store: str, **given: Any) -> Settings:
    """The settings of an application on a store of `STORES`."""
    place = STORES[store].place(folder)
    return Settings(
        data=folder,
        database_url=place.url,
        session_store_url=place.sessions,
        issuer="https://auth.example",
        secret=(SecretStr("the-server-secret-of-these-tests-0123456789"),),
        **given,
    )


@contextlib.asynccontextmanager
async def local_api(
    settings: Settings, clock: ManualClock, *, seed: str = "", **overrides: Any
) -> AsyncIterator[LocalApi]:
    """The application with its lifespan run, and the account alice."""
    app = make_app(
        settings,
        clock=clock,
        monotonic=ManualClock(0),
        entropy=SeededEntropy(seed),
        hashing=INSECURE_FOR_TESTS,
        background=False,
        **overrides,
    )
    async with lifespan(app) as state:

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": state}, receive, send)

        engine: Watchword = state["watchword"]
        if await engine.accounts.is_empty():
            await engine.accounts.register("alice", PASSWORD)
        api = LocalApi(application, engine, clock)
        async with api.client:
            yield api


@contextlib.asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[dict[str, Any]]:
    """Starts the application, yields its state, stops it."""
    state: dict[str, Any] = {}
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}

    async def run() -> None:
        await app(scope, inbox.get, outbox.put)

    running = asyncio.create_task(run())
    await inbox.put({"type": "lifespan.startup"})
    started = await outbox.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield state
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await running


class Server:
    """`watchword serve` as a process of its own, to be killed and started again."""

    def __init__(
        self, folder: Path, *, name: str = "server", **environment: str
    ) -> None:
        self.folder = folder
        self.log = folder.parent / f"{folder.name}-{name}.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        outside = {k: v for k, v in os.environ.items() if "WATCHWORD" not in k}
        self.environment = {
            **outside,
            "WATCHWORD_ADMIN_PASSWORD": PASSWORD,
            # One issuer for all that serve this folder, whatever their ports.
            "WATCHWORD_ISSUER": "http://127.0.0.1",
            **environment,
        }
        self._process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self, *flags: str) -> Self:
        command = [str(RUNNER), *flags, "--"]
        command += ["--data", str(self.folder), "--port", str(self.port)]
        self._process = Forked(command, self.environment, self.log)
        return self

    async def start(self, *flags: str) -> Self:
        """Launch it, and come back when it answers."""
        self.launch(*flags)
        try:
            await self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    async def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False) as client:
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                running = self._process is not None and self._process.poll() is None
                in_time = time.monotonic() < deadline
                assert (running, in_time) == (True, True), self.log.read_text()
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Kill -9: nothing is finished, nothing is said."""
        assert self._process is not None
        assert self._process.poll() is None, "it went away by itself"
        end(self._process, signal.SIGKILL)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        return end(self._process)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    @contextlib.asynccontextmanager
    async def api(
        self, *, connections: int = 100, address: str | None = None
    ) -> AsyncIterator[Api]:
        """Called from `address`: Linux has all of 127.0.0.0/8 on loopback."""
        limits = httpx2.Limits(max_connections=connections)
        transport = httpx2.AsyncHTTPTransport(limits=limits, local_address=address)
        async with httpx2.AsyncClient(
            base_url=self.url, transport=transport, trust_env=False, timeout=PATIENCE
        ) as client:
            yield Api(client)


@contextlib.asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[tuple[Api, Api]]:
    """Two servers of one folder."""
    async with (
        Server(folder, name="one") as one,
        Server(folder, name="two") as two,
        one.api() as here,
        two.api() as there,
    ):
        yield here, there
