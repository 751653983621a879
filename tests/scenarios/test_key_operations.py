"""Keys and the server secret change while people work: nobody notices, nothing stays.

Real processes, two workers, the CLI beside them: what docs/runbooks promises.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from tests.patience import auntil
from tests.scenarios.api import PASSWORD, Api, Server
from watchword.core.limits import JWKS_MAX_AGE

PROGRAM: Final = Path(sys.executable).with_name("watchword")
OLD: Final = "the-old-server-secret-0123456789abcdef"
NEW: Final = "the-new-server-secret-0123456789abcdef"
PEOPLE: Final = 6


async def run(server: Server, *words: str) -> Any:
    """A command beside the running server; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), *words, "--data", str(server.folder), "--json"),
        env=server.environment,
        stdout=subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(printed)


def age_keys(folder: Path) -> None:
    """As if the keys had been published long ago: a rotation need not wait."""
    with contextlib.closing(apsw.Connection(str(folder / "watchword.db"))) as database:
        database.execute(
            "UPDATE signing_keys SET changed_at = changed_at - ?", (JWKS_MAX_AGE,)
        )
        database.execute("UPDATE store SET key_revision = key_revision + 1")


class Person:
    """Signs in once, then calls and refreshes until told to stop."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.refused: list[str] = []
        self.kids: set[str] = set()
        self.tokens: Any = None

    async def sign_in(self) -> None:
        self.tokens = await self.api.login("admin", PASSWORD)

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.call()
            answer = await self.api.refresh(self.tokens["refreshToken"])
            if answer.status_code != 200:
                self.refused.append(answer.text)
                return
            self.tokens = answer.json()
            self.kids.add(kid_of(self.tokens["accessToken"]))

    async def call(self) -> int:
        answer = await self.api.secure(self.tokens["accessToken"])
        if answer.status_code != 200:
            self.refused.append(answer.text)
        return answer.status_code


def kid_of(token: str) -> str:
    header = token.split(".", maxsplit=1)[0]
    return str(json.loads(_decoded(header))["kid"])


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


@contextlib.asynccontextmanager
async def crowd(server: Server) -> AsyncIterator[list[Person]]:
    """People at work, until the block ends."""
    stop = asyncio.Event()
    async with server.api() as api:
        people = [Person(api) for _ in range(PEOPLE)]
        for person in people:  # one by one: sign-ins of one name are counted
            await person.sign_in()
        async with asyncio.TaskGroup() as group:
            for person in people:
                group.create_task(person.work(stop))
            try:
                yield people
            finally:
                stop.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def test_a_rotation_under_load_loses_no_verification(folder: Path) -> None:
    """Two workers: what one signs with the new key the other accepts at once."""
    server = Server(folder, WATCHWORD_WORKERS="2")
    await server.start()
    try:
        age_keys(folder)
        async with crowd(server) as people:
            await auntil(lambda: all(person.kids for person in people))
            before = {row["kid"] for row in await run(server, "keys", "list")}
            rotated = (await run(server, "keys", "rotate"))["active"]
            assert rotated in before  # published before it signs
            await auntil(lambda: all(rotated in person.kids for person in people))
        assert [person.refused for person in people] == [[]] * PEOPLE
        assert all(len(person.kids) == 2 for person in people)
    finally:
        server.stop()


async def test_a_retired_keys_tokens_die_and_nobody_is_signed_out(folder: Path) -> None:
    """The emergency: 401 everywhere, within a second, and a refresh mends it."""
    server = Server(folder, WATCHWORD_WORKERS="2")
    await server.start()
    try:
        async with server.api() as api:
            person = Person(api)
            await person.sign_in()
            stolen = kid_of(person.tokens["accessToken"])
            await run(server, "keys", "retire", stolen)
            # Both workers: they answer in turn, as the connections fall.
            statuses: list[int] = []
            while statuses[-20:] != [401] * 20:
                statuses.append(await person.call())
                await asyncio.sleep(0.02)
            answer = await api.refresh(person.tokens["refreshToken"])
            assert answer.status_code == 200
            person.tokens = answer.json()
            assert kid_of(person.tokens["accessToken"]) != stolen
            assert await person.call() == 200
            keys = (await api.client.get("/.well-known/jwks.json")).json()["keys"]
            assert stolen not in {key["kid"] for key in keys}
    finally:
        server.stop()


async def test_the_server_secret_changes_without_a_logout(folder: Path) -> None:
    """Verify everywhere, then mint; the old one goes after one idle lifetime."""
    tokens: dict[str, str] = {}
    for phase, secrets in (
        ("old", OLD),
        ("known", f"{OLD} {NEW}"),
        ("promoted", f"{NEW} {OLD}"),
        ("alone", NEW),
    ):
        server = Server(folder, name=phase, WATCHWORD_SECRET=secrets)
        await server.start()
        try:
            async with server.api() as api:
                # One session is refreshed in each phase, one only once in the end.
                if phase == "old":
                    for name in ("busy", "idle"):
                        signed_in = await api.login("admin", PASSWORD)
                        tokens[name] = signed_in["refreshToken"]
                busy = await api.refresh(tokens["busy"])
                assert busy.status_code == 200, (phase, busy.text)
                tokens["busy"] = busy.json()["refreshToken"]
                assert (await api.secure(busy.json()["accessToken"])).status_code == 200
                if phase == "alone":
                    idle = await api.refresh(tokens["idle"])
                    assert await api.code_of(idle) == "refresh_invalid"
            sealed = [row["keysSealed"] for row in await run(server, "keys", "secrets")]
            assert sealed == [2, 0][: len(sealed)]
        finally:
            server.stop()
