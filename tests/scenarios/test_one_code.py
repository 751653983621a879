"""One code, many requests: it opens one session, whatever the processes do.

50 requests, 4 workers, one TOTP code          one 200
50 requests, 4 workers, one recovery code      one 200
a recovery code and kill -9                    at most one session
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2
import pytest
from pydantic import SecretStr

from tests.scenarios.api import BASE, PASSWORD, Api, Server, code_of
from tests.servers.stores import STORES
from watchword.bootstrap import Watchword, open_watchword
from watchword.config import Settings
from watchword.core.actor import APP
from watchword.core.limits import TOTP_STEP
from watchword.core.session import AAL2
from watchword.core.totp import code_at
from watchword.passwords import INSECURE_FOR_TESTS

SECRET: Final = "the-server-secret-of-these-tests-0123456789"
SERVED_FROM: Final = pytest.mark.parametrize(
    "kind", ["sqlite", "postgresql-16", "valkey-9"]
)
REQUESTS: Final = 50
CONTINUATIONS: Final = 5
# Python runs it first of all in each worker. With the limits as they are, five of the
# requests would be looked at, and the race would be over before it has begun.
UNLIMITED: Final = """
from watchword.core import limits

limits.FACTOR_ACCOUNT_BURST = limits.FACTOR_NETWORK_BURST = 1000
"""


class Owner(NamedTuple):
    """A user whose phone shows `totp`, and who has `codes` on paper."""

    name: str
    totp: bytes
    codes: tuple[str, ...]

    def code(self) -> str:
        """That of now: enrolling has used the one before."""
        return code_at(self.totp, time.time_ns() // 1_000_000 // TOTP_STEP)


class Place:
    """Where a server and this process find the same data."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.folder = folder
        self._stores = STORES[kind].place(folder)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Watchword]:
        settings = Settings(
            data=self.folder,
            database_url=self._stores.url,
            session_store_url=self._stores.sessions,
            issuer="http://127.0.0.1",
            secret=(SecretStr(SECRET),),
        )
        async with open_watchword(
            settings, hashing=INSECURE_FOR_TESTS, background=False
        ) as engine:
            yield engine

    def server(self, **environment: str) -> Server:
        return Server(
            self.folder,
            WATCHWORD_DATABASE_URL=self._stores.url,
            WATCHWORD_SESSION_STORE_URL=self._stores.sessions or "",
            WATCHWORD_SECRET=SECRET,
            **environment,
        )

    async def owner(self, name: str) -> Owner:
        """A new account with both kinds of codes."""
        async with self.engine() as engine:
            account = await engine.accounts.register(name, PASSWORD)
            parts = engine.second_factors
            pending = parts.totp.begin(account.id, name)
            secret = base64.b32decode(pending.secret)
            step = time.time_ns() // 1_000_000 // TOTP_STEP
            row, _ = parts.totp.confirmed(
                account.id, pending.factor, code_at(secret, step - 1)
            )
            codes = await parts.factors.add(account.id, row, keep_session=None, by=APP)
        return Owner(name, secret, codes)

    async def sessions_of(self, name: str) -> int:
        """How many sessions a second factor has opened, that are alive."""
        async with self.engine() as engine:
            account = await engine.accounts.get(name)
            found = await engine.sessions.list_of_account(account.id)
        return sum(row.acr == AAL2 for row in found)


async def continued(api: Api, name: str) -> str:
    answer = await api.try_login(name, PASSWORD)
    assert code_of(answer) == "second_factor_required", answer.text
    return str(answer.json()["continuation"])


async def go_on(api: Api, continuation: str, method: str, code: str) -> httpx2.Response:
    body = {"continuation": continuation, "method": method, "code": code}
    return await api.client.post(f"{BASE}/login/continue", json=body)


async def at_once(server: Server, bodies: Sequence[dict[str, str]]) -> list[Any]:
    """The answers to these calls of `/login/continue`, which end at one moment.

    All are sent but for a byte; then come the last bytes, one right after the other. A
    client that sends one request after another is slower than the server.
    """
    streams = [await asyncio.open_connection("127.0.0.1", server.port) for _ in bodies]
    raw = [json.dumps(body).encode() for body in bodies]
    for (_, writer), body in zip(streams, raw, strict=True):
        head = (
            f"POST {BASE}/login/continue HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:-1])
        await writer.drain()
    for (_, writer), body in zip(streams, raw, strict=True):
        writer.write(body[-1:])
    answers = [await reader.read() for reader, _ in streams]
    for _, writer in streams:
        writer.close()
    return [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers]


@SERVED_FROM
async def test_of_many_with_one_code_one_gets_in(kind: str, tmp_path: Path) -> None:
    """Over four workers, with right passwords: a code of an app, and one of paper.

    Each has an account of its own.
    """
    place = Place(kind, tmp_path / "data")
    owners = {name: await place.owner(name) for name in ("totp", "recovery_code")}
    (tmp_path / "sitecustomize.py").write_text(UNLIMITED)
    four = {"WATCHWORD_WORKERS": "4", "PYTHONPATH": str(tmp_path)}
    async with place.server(**four) as server, server.api() as api:
        for method, owner in owners.items():
            begun = [await continued(api, method) for _ in range(CONTINUATIONS)]
            code = owner.code() if method == "totp" else owner.codes[0]
            bodies = [
                {"continuation": one, "method": method, "code": code}
                for _ in range(REQUESTS // CONTINUATIONS)
                for one in begun
            ]
            answers = await at_once(server, bodies)
            said = [answer.get("code", "ok") for answer in answers]
            assert said.count("ok") == 1, said
            assert set(said) <= {"ok", "second_factor_invalid", "continuation_expired"}
            (tokens,) = (answer for answer in answers if "accessToken" in answer)
            assert code_of(await api.secure(tokens["accessToken"])) == "ok"
    assert [await place.sessions_of(name) for name in owners] == [1, 1]


@pytest.mark.parametrize("moment", ["before", "after"])
@SERVED_FROM
async def test_a_recovery_code_opens_one_session_at_most_though_the_server_dies(
    kind: str, moment: str, tmp_path: Path
) -> None:
    """The session and the code go in one step; its answer is lost for good.

    client ── code ──> server ── commit ──> store
                x <────────── kill -9

    With sessions in Redis the code goes first: one that is lost with the process is
    better than one that works twice.
    """
    place, trigger = Place(kind, tmp_path / "data"), tmp_path / "die"
    owner = await place.owner("ann")
    server = place.server()
    try:
        await server.start(f"--die-{moment}-commit", str(trigger))
        async with server.api() as api:
            begun = await continued(api, "ann")
            trigger.touch()
            with pytest.raises(httpx2.TransportError):
                await go_on(api, begun, "recovery_code", owner.codes[0])
        assert server.wait() == -9
        opened = await place.sessions_of("ann")
        assert opened == (1 if moment == "after" else 0)
        await server.start()
        async with server.api() as api:
            for ticket in (begun, await continued(api, "ann")):
                answer = await go_on(api, ticket, "recovery_code", owner.codes[0])
                opened += answer.status_code == 200
            assert opened == (0 if (kind, moment) == ("valkey-9", "before") else 1)
            again = await continued(api, "ann")
            other = await go_on(api, again, "recovery_code", owner.codes[1])
            assert code_of(other) == "ok"
    finally:
        server.stop()
    assert await place.sessions_of("ann") == opened + 1
