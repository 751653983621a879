"""The API under attack, and a canary in every test.

Whatever secret a test sends or is given must be in no log line and in no refusal: the
fixture notes them all, and looks when the test is over (CVE-2024-51752,
CVE-2025-62705).
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from tests.scenarios.api import PASSWORD, LocalApi, local_api, settings_for
from tests.server.live import Live
from watchword.testing import ManualClock

# Shorter ones, such as a prefix of a token, are no secrets.
SECRET_MIN: Final = 24

Serve = Callable[..., AbstractAsyncContextManager[LocalApi]]


class Canary:
    """Notes secrets and what was answered, and compares."""

    def __init__(self) -> None:
        self.secrets = {PASSWORD}
        self.refusals: list[str] = []

    async def sent(self, request: httpx2.Request) -> None:
        headers = request.headers
        self._note(headers.get("authorization", "").removeprefix("Bearer ").strip())
        self._note(headers.get("idempotency-key", "").strip('"'))
        with contextlib.suppress(Exception):
            self._note_body(json.loads(await request.aread()))

    async def received(self, response: httpx2.Response) -> None:
        await response.aread()
        if response.status_code < 400:
            with contextlib.suppress(ValueError):
                self._note_body(response.json())
        else:
            self.refusals.append(f"{response.headers} {response.text}")

    def _note_body(self, body: Any) -> None:
        if isinstance(body, str):
            self._note(body)
        if isinstance(body, dict):
            for name in ("password", "refreshToken", "accessToken"):
                self._note(body.get(name))

    def _note(self, secret: Any) -> None:
        if isinstance(secret, str) and len(secret) >= SECRET_MIN:
            self.secrets.add(secret)

    def look(self, logged: str) -> None:
        seen = logged + "\n".join(self.refusals)
        assert not [secret for secret in self.secrets if secret in seen]


@pytest.fixture
def canary(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Iterator[Canary]:
    caplog.set_level(logging.DEBUG)
    bird = Canary()
    yield bird
    # The test's own client logs addresses; that is not ours.
    lines = [
        f"{record.getMessage()} {record.exc_text or ''}"
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if not record.name.startswith("http")
    ]
    captured = capsys.readouterr()
    bird.look("\n".join(lines) + captured.err + captured.out)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def serve(tmp_path: Path, clock: ManualClock, canary: Canary) -> Serve:
    """Opens the application; settings by name, `on` the store, the rest overrides."""

    @contextlib.asynccontextmanager
    async def open_api(
        on: str = "memory", *, settings: dict[str, Any] | None = None, **overrides: Any
    ) -> AsyncIterator[LocalApi]:
        made = settings_for(tmp_path, on, **(settings or {}))
        async with local_api(made, clock, **overrides) as api:
            hooks: Any = {"request": [canary.sent], "response": [canary.received]}
            api.client.event_hooks = hooks
            yield api

    return open_api


@pytest_asyncio.fixture
async def api(serve: Serve) -> AsyncIterator[LocalApi]:
    async with serve() as opened:
        yield opened


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection, to anywhere, fails the test."""

    def refuse(*_: object) -> None:
        raise AssertionError("an outgoing connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server process; it must have survived."""
    with Live(tmp_path_factory.mktemp("live") / "data") as server:
        yield server
        assert server.process.poll() is None
        assert "Traceback" not in server.printed()
