"""Servers that are killed and started again, many times: `watchword serve`, forked."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self

import httpx2

from tests.faults.history import Rewound
from tests.patience import PATIENCE
from tests.server.live import RUNNER
from tests.servers.forked import Forked
from tests.servers.process import end, free_port
from watchword.ports.audit import EventType
from watchword.testing.store_contract.backend import Place

PASSWORD: Final = "correct horse battery staple 41"


class Server:
    """One address of the service, and whichever process answers there."""

    def __init__(
        self, folder: Path, place: Place, name: str, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        self._command = [str(RUNNER), "0", "--data", str(folder)]
        self._command += ["--port", str(self.port)]
        outside = {k: v for k, v in os.environ.items() if "WATCHWORD" not in k}
        self._environment = {
            **outside,
            "WATCHWORD_ADMIN_PASSWORD": PASSWORD,
            # One issuer for all that share a store, whatever their ports.
            "WATCHWORD_ISSUER": "http://127.0.0.1",
            "WATCHWORD_DATABASE_URL": place.url,
            "WATCHWORD_SESSION_STORE_URL": place.sessions or "",
            **environment,
        }
        self._process: Forked | None = None

    def launch(self) -> Self:
        self._process = Forked(self._command, self._environment, self.log)
        return self

    async def start(self) -> Self:
        """Launch it, and come back when it is ready."""
        self.launch()
        await self.ready()
        return self

    async def ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        async with httpx2.AsyncClient(base_url=self.url, trust_env=False) as client:
            while True:
                with suppress(httpx2.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                assert self._lives(), self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        """Kill -9: nothing is finished, nothing is said."""
        assert self._lives(), self.log.read_text()
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Send that signal, and come back when it is gone."""
        if self._process is not None:
            end(self._process, number)

    def _lives(self) -> bool:
        return self._process is not None and self._process.poll() is None


@asynccontextmanager
async def serving(
    folder: Path, place: Place, names: str = "AB", **environment: str
) -> AsyncIterator[list[Server]]:
    """Servers of one service, a letter each, ready; all stop with the story."""
    servers = [Server(folder, place, name, environment) for name in names]
    try:
        for server in servers:
            await server.start()
        yield servers
    except BaseException:
        for server in servers:
            server.end(signal.SIGKILL)
        raise
    for server in servers:
        server.end(signal.SIGTERM)


async def rewound(place: Place) -> list[Rewound]:
    """How often, and how far, the service found its store behind a token."""
    stores = await place.open("audit")
    try:
        found: list[Rewound] = []
        after = 0
        while page := await stores.audit.read(after, 1000):
            found += [
                Rewound((event.session_id or b"").hex(), int(event.detail["lost"]))
                for _, event in page
                if event.type is EventType.TOKEN_REWOUND
            ]
            after = page[-1][0]
        return found
    finally:
        await stores.backend.close()
