"""docs/frameworks.md: its programs are the examples, and its commands work.

The two about accounts are on docs/accounts.md, the one for MCP on docs/mcp.md.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.integrations.stories import bearer, code_of, embedded_story, example, login
from tests.pages import ROOT, blocks_of, clean_environment
from tests.servers.process import end, free_port, wait_for

PAGE: Final = ROOT / "docs/frameworks.md"
ACCOUNTS: Final = ROOT / "docs/accounts.md"
MCP: Final = ROOT / "docs/mcp.md"
EXAMPLES: Final = ROOT / "examples"


def test_every_program_is_an_example_and_every_example_is_shown() -> None:
    shown = [block.text for block in blocks_of(PAGE) if block.kind == "python"]
    shown += [
        block.text.removeprefix("# app.py\n")
        for block in blocks_of(ACCOUNTS)
        if block.kind == "python" and "ORDERS" in block.text
    ]
    shown += [block.text for block in blocks_of(MCP) if "Tokens(" in block.text]
    assert sorted(shown) == sorted(file.read_text() for file in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize(
    "name", ["fastapi", "starlette", "litestar", "flask", "django"]
)
def test_eight_lines_put_watchword_into_an_app(name: str) -> None:
    """The framework's own lines that they are part of are counted too."""
    text = (EXAMPLES / f"{name}_embedded.py").read_text()
    ours = re.compile("watchword|auth|session|Claims", re.IGNORECASE)
    assert 0 < len([line for line in text.splitlines() if ours.search(line)]) <= 8


# The commands


@pytest.fixture
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The page's server under uvicorn, started as the page says; and its commands."""
    port = str(free_port())
    made = [b.text.replace("8000", port) for b in blocks_of(PAGE) if b.kind == "sh"]
    programs = Path(sys.executable).parent
    environment = clean_environment(PYTHONPATH=str(EXAMPLES))
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    with (folder / "log").open("wb") as log:
        start = made[0].removesuffix("&\n")
        start = start.replace("\nuvicorn", "\nexec uvicorn")
        server = subprocess.Popen(
            ["bash", "-eu", "-c", start], env=environment, stdout=log, stderr=log
        )
    try:
        wait_for(int(port), server)
        yield f"http://127.0.0.1:{port}", made[1:]
    finally:
        end(server)


def test_the_commands_of_the_page_work(served: tuple[str, list[str]]) -> None:
    url, (commands,) = served
    done = subprocess.run(
        ["bash", "-eu", "-c", commands],
        capture_output=True,
        text=True,
        check=True,
    )
    (shown,) = [b.text for b in blocks_of(PAGE) if b.kind == "json"]
    told = json.loads(done.stdout)
    assert list(told) == list(json.loads(shown)) == ["hello"]
    assert str(uuid.UUID(told["hello"])) == told["hello"]
    with httpx2.Client(base_url=url) as client:
        embedded_story(client, told["hello"])


# Programs that are no pair of a framework


def test_the_own_users_of_the_page_sign_in() -> None:
    program = example("fastapi_own_users")
    with TestClient(program.app) as client:
        access = bearer(login(client)["accessToken"])
        me = client.get("/api/auth/me", headers=access).json()
        assert (me["roles"], me["plan"]) == (["clerk"], "gold")
        assert client.delete("/users/7", headers=access).json() == 1
        assert code_of(client.get("/api/auth/me", headers=access)) == "token_revoked"
        body = {"username": "ann", "password": "four words make a phrase"}
        answer = client.post("/api/auth/login", json=body)
        assert code_of(answer) == "invalid_credentials"


def test_the_test_of_the_page_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    example("fastapi_override").test_hello()
