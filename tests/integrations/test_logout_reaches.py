"""Every program of the documentation that verifies tokens honours a logout.

The programs are run as they are printed, against a real server, with the client that
their page makes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.cli.terminal import Terminal
from tests.integrations import logout_programs
from tests.integrations.fakes import ISSUER
from tests.pages import NAMES, ROOT, blocks_of, clean_environment
from tests.server.live import Live
from tests.test_docs_references import commands_in

APIS: Final = sorted(ROOT.glob("examples/*_api.py"))
# A signature in the reference is no program.
VERIFIES: Final = re.compile(
    r"(?<!class )\b(?:ResourceServer|Tokens|\w*Verifier)\(|\"issuer\":"
)


@pytest.fixture
def live(folder: Path) -> Iterator[Live]:
    with Live(folder / "data") as server:
        yield server


@pytest.mark.parametrize("name", NAMES)
def test_every_printed_verifier_follows_the_feed_of_a_client_of_its_page(
    name: str,
) -> None:
    """A page that prints one also prints how its client is made."""
    programs = [b.text for b in blocks_of(ROOT / name) if b.kind == "python"]
    verifying = [text for text in programs if VERIFIES.search(text)]
    assert [text for text in verifying if "feed" not in text] == []
    tested = name == "docs/testing.md"  # where no server is asked
    if verifying and not tested:
        made = [words for words, whole in commands_in(ROOT / name) if whole]
        assert any("feed" in words and "orders-api" in words for words in made)


def test_a_logout_at_the_server_reaches_every_printed_api(
    live: Live, folder: Path
) -> None:
    (command,) = [
        words
        for words, whole in commands_in(ROOT / "docs/frameworks.md")
        if whole and "clients" in words and "feed" in words
    ]
    secret = Terminal(live.data).json(*command)["clientSecret"]
    tokens = live.login()
    with ExitStack() as ending:
        running = {}
        for api in APIS:
            program = folder / api.name
            assert ISSUER in api.read_text()
            program.write_text(api.read_text().replace(ISSUER, live.url))
            running[api.stem] = start(program, tokens["accessToken"], secret)
            ending.enter_context(running[api.stem])
            ending.callback(running[api.stem].kill)
        assert {name: said(one) for name, one in running.items()} == dict.fromkeys(
            running, "let in"
        )
        assert live.call("POST", "/api/auth/logout", tokens).status == 200
        for one in running.values():
            assert one.stdin is not None
            one.stdin.write("the user has logged out\n")
            one.stdin.flush()
        assert {name: said(one) for name, one in running.items()} == dict.fromkeys(
            running, "token_revoked"
        )


def start(program: Path, access: str, secret: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, logout_programs.__file__, str(program), access],
        cwd=program.parent,
        env=clean_environment(FEED_SECRET=secret),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
