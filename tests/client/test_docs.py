"""docs/client.md is true: its programs run, its numbers and names are the program's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cli.terminal import Terminal
from tests.mail.mailbox import Mailbox
from tests.pages import ROOT, blocks_of, clean_environment, rows_of
from tests.server.live import Live
from watchword import errors
from watchword.client import auth_flow, session, stored

PAGE: Final = ROOT / "docs/client.md"
HERE: Final = "http://127.0.0.1:8000"
PHRASE: Final = "four words make a phrase"
MESSAGE: Final = "API accessed using valid JWT token"
PROGRAMS: Final = [block.text for block in blocks_of(PAGE) if block.kind == "python"]
INSTALL, SHELL = [block.text for block in blocks_of(PAGE) if block.kind == "sh"]
# What each of them prints, in their order.
ASKED: Final = "The code of the mail: "
PRINTED: Final = (MESSAGE, "", "{200}", MESSAGE, "", ASKED, "", "", "", "{'jkt': '")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("docs") / "data"
    with Live(data, WATCHWORD_REGISTRATION="open") as server:
        add = "user", "add", "ann", "--password-stdin"
        Terminal(server.data).run(*add, typed=PHRASE)
        yield server


def done(command: list[str], home: Path, typed: str = "") -> str:
    finished = subprocess.run(
        command,
        env=clean_environment(HOME=str(home), XDG_CONFIG_HOME=""),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert not finished.stderr
    return finished.stdout


def test_the_programs_run_one_after_the_other_and_go_on_with_one_session(
    live: Live, tmp_path: Path
) -> None:
    assert len(PROGRAMS) == len(PRINTED)
    command = [sys.executable, "-W", "error", "-c"]
    for number, printed in enumerate(PRINTED):
        if number == 1:  # nobody is there to be asked: the session is
            sign_in = PROGRAMS[0].replace("auth.logout()", "")
            done([*command, sign_in.replace(HERE, live.url)], tmp_path)
        typed = (
            Mailbox(live.data).token_to("ben@example.org") if printed == ASKED else ""
        )
        program = PROGRAMS[number].replace(HERE, live.url)
        out = done([*command, program], tmp_path, typed)
        assert out.startswith(printed)
        assert out.count("\n") == (0 if printed in {"", ASKED} else 1)
    file = tmp_path / ".config" / "app" / "session.json"
    assert json.loads(file.read_text())["issuer"] == live.url


def test_the_lines_for_the_command_line_work(live: Live, tmp_path: Path) -> None:
    """But for the terminal, which a test has not: the password comes by the option."""
    typed = f"--user ann --password-stdin <<< '{PHRASE}'"
    lines = SHELL.replace(HERE, live.url).replace("--user ann", typed)
    lines = lines.replace("watchword ", f"{Path(sys.executable).parent}/watchword ")
    out = done(["bash", "-eu", "-c", lines], tmp_path)
    assert out.startswith(f"Signed in at {live.url} as ann.\n{{")
    assert f'"message":"{MESSAGE}"' in out
    assert out.endswith("}Signed out.\n")


def test_what_is_installed_is_an_extra() -> None:
    (extra,) = re.findall(r"watchword\[(\w+)\]", INSTALL)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]


def test_the_errors_are_there_with_these_codes() -> None:
    rows = [[cell.strip("`") for cell in row[:2]] for row in rows_of(PAGE, "| error |")]
    assert dict(rows) == {name: getattr(errors, name).code for name, _ in rows}


def test_numbers_are_those_of_the_program() -> None:
    words = {5: "five", 6: "six", 10: "ten"}
    text = " ".join(PAGE.read_text().split())
    for sentence in (
        f"{stored.REFRESH_FROM * 100:.0f} to {stored.REFRESH_TO * 100:.0f} %",
        f"up to {words[session.RETRY_AFTER_MAX]} seconds",
        f"asks up to {words[session.ATTEMPTS]} times",
        f"less than {words[int(auth_flow.YOUNG)]} seconds",
    ):
        assert sentence in text
