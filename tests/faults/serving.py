"""Servers that are killed and started again, many times: `watchword serve`, forked."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final, Self

import httpx2

from tests.faults.history import Rewound
from tests.patience import PATIENCE
from tests.servers.process import at_end, free_port
from watchword.ports.audit import EventType
from watchword.testing.store_contract.backend import Place

PASSWORD: Final = "correct horse battery staple 41"
_FORKER: Final = Path(__file__).with_name("forker.py")


class Forker:
    """The process that all servers are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_FORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        at_end(self._process.communicate)

    def fork(self, command: list[str], environment: dict[str, str], log: Path) -> int:
        """The id of a new server."""
        order = {"command": command, "environment": environment, "log": str(log)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@cache
def _forker() -> Forker:
    return Forker()


class Server:
    """One address of the service, and whichever process answers there."""

    def __init__(
        self, folder: Path, place: Place, name: str, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        self._command = ["serve", "--data", str(folder), "--port", str(self.port)]
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
        self._handle = -1

    def launch(self) -> Self:
        process = _forker().fork(self._command, self._environment, self.log)
        self._handle = os.pidfd_open(process)
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
                assert not self._gone(0), self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                await asyncio.sleep(0.01)

    def kill(self) -> None:
        """Kill -9: nothing is finished, nothing is said."""
        assert not self._gone(0), self.log.read_text()
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Send that signal, and come back when it is gone."""
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)
            assert self._gone(PATIENCE), self.log.read_text()
            os.close(self._handle)
            self._handle = -1

    def _gone(self, seconds: float) -> bool:
        return bool(select.select([self._handle], [], [], seconds)[0])


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
