"""One server for all, clocks that move on both sides, and a session file."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.middle import Middle
from tests.server.live import PASSWORD, Live
from watchword.client import Auth
from watchword.client.clock import Clocks

SECURE = "/api/auth/secure"
LIFE = 120


class Stage:
    """The server as clients reach it, and their clocks; `auth()` is a client's."""

    def __init__(self, live: Live, middle: Middle, file: Path) -> None:
        self.live = live
        self.middle = middle
        self.url = middle.url
        self.file = file
        self.ahead = 0.0

    def auth(self, issuer: str | None = None, **given: Any) -> Auth:
        clocks = Clocks(
            lambda: time.monotonic() + self.ahead, lambda: time.time() + self.ahead
        )
        how: dict[str, Any] = {"file": self.file, "clocks": clocks}
        return Auth(issuer or self.url, **(how | given))

    def signed_in(self, **given: Any) -> Auth:
        auth = self.auth(**given)
        auth.login("admin", PASSWORD)
        return auth

    def later(self, seconds: float = LIFE) -> None:
        """Time goes by for the clients; the server only looks at its own."""
        self.ahead += seconds

    def expire(self) -> None:
        """Time goes by for the server alone: the clients know nothing of it."""
        self.live.advance(LIFE)

    def server_clock(self) -> Clocks:
        """One that agrees with the server's, and stands on no other."""
        return Clocks(time.monotonic, lambda: time.time() + self.live.off_by)

    def kept(self) -> Any:
        return json.loads(self.file.read_text())

    def generation(self) -> int:
        """How often the session in the file has rotated."""
        return generation_of(self.kept()["refresh_token"])

    def secure(self) -> str:
        return self.url + SECURE


def force(auth: Auth) -> None:
    """Its time to refresh has come; its token still works."""
    auth._refresher._schedule = auth._refresher._schedule._replace(refresh=0)


def generation_of(refresh_token: str) -> int:
    return int.from_bytes(urlsafe_b64decode(refresh_token[6:])[17:21])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("client") / "data"
    # Mail to unknown addresses would wait for its turn, three seconds a message.
    given: dict[str, Any] = {"WATCHWORD_MAIL_RATE": "6000"}
    with Live(data, clock=True, WATCHWORD_REGISTRATION="open", **given) as live:
        yield live


@pytest.fixture
def stage(server: Live, tmp_path: Path) -> Iterator[Stage]:
    with Middle(server.port) as middle:
        yield Stage(server, middle, tmp_path / "app" / "session.json")
