"""The tutorials, followed from the first line to the last by one reader each."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyotp
import pytest

from tests.pages import (
    ROOT,
    blocks_of,
    clean_environment,
    files_of,
    printed_by,
    script_of,
)
from tests.servers.process import end, wait_for
from tests.test_docs import ADDRESS, SHAPES, Step, assert_alike, steps_of
from watchword.client import Auth

PAGES: Final = ("tutorial", "second-factor")
STARTED: Final = ["app:app", "--http", "h11"]
PASSWORD: Final = "four words make a phrase"
ADD_BOB: Final = "user add bob --password-stdin --database-url sqlite:///app.db"
BARE: Final = re.compile(r"^\s*(?:watchword|uvicorn|pytest|pip) ", re.MULTILINE)


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> Path:
    return ROOT / f"docs/{request.param}.md"


@pytest.fixture(scope="module")
def folder(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader has typed into files, beside the virtual environment."""
    made = tmp_path_factory.mktemp("tutorial")
    (made / ".venv").symlink_to(sys.prefix)
    for name, text in files_of(page).items():
        (made / name).write_text(text)
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The app, started as the page says, but for the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [sys.executable, "-m", "uvicorn", *STARTED, "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            program, cwd=folder, env=clean_environment(), stdout=log, stderr=log
        )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        assert end(process) in {0, -signal.SIGTERM}


@pytest.fixture(scope="module")
def printed(page: Path, folder: Path, url: str) -> list[str]:
    script = script_of(step.commands for step in steps_of(page))
    assert ADDRESS in script
    return printed_by(script.replace(ADDRESS, url), folder)


def test_every_command_is_that_of_the_readers_environment(page: Path) -> None:
    """The page activates none, so a name without its folder would not be found."""
    commands = [b.text for b in blocks_of(page) if b.kind in {"sh", "console"}]
    assert f".venv/bin/uvicorn {' '.join(STARTED)}\n" in commands
    assert [text for text in commands if BARE.search(text)] == []


def test_every_answer_of_the_tutorial_is_the_apps(
    page: Path, printed: list[str]
) -> None:
    for step, got in zip(steps_of(page), printed, strict=True):
        assert_answered(step, got.strip())


def assert_answered(step: Step, got: str) -> None:
    expected = step.expected
    if expected is None:
        assert got == "", step
    elif expected.kind == "text":
        assert got == expected.text.strip(), step
    else:
        assert_meant(step, json.loads(expected.text), json.loads(got))


def assert_meant(step: Step, wanted: Any, answered: Any) -> None:
    if isinstance(wanted, list | str):
        assert answered == wanted, step
    elif "hello" in wanted:
        assert list(answered) == ["hello"], step
        assert re.fullmatch(SHAPES["subject"], answered["hello"]), step
    else:
        lives = wanted.pop("expiresIn", 0)
        assert lives == answered.pop("expiresIn", 0), step
        assert_alike(wanted, answered)


def test_the_test_of_the_tutorial_passes(page: Path, tmp_path: Path) -> None:
    for name, text in files_of(page).items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pwatchword", "-Werror"],
        cwd=tmp_path,
        env=clean_environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert not (tmp_path / "app.db").exists()


def test_the_first_start_made_what_the_page_says(folder: Path, url: str) -> None:
    assert (folder / "app.db").exists()
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("page", ["second-factor"], indirect=True)
def test_the_program_of_the_second_factor_goes_through(
    page: Path, folder: Path, url: str
) -> None:
    """With a session that has one; that it asks is tried with the client itself."""
    run = script_of([f"echo '{PASSWORD}' | .venv/bin/watchword {ADD_BOB}"])
    assert printed_by(run, folder) == ["Made the account bob.\n"]
    auth = Auth(url, file=folder / "session.json")
    auth.login("bob", PASSWORD)
    pending = auth.factors.add_totp()
    auth.factors.confirm_totp(pending.factor, pyotp.TOTP(pending.secret).now())
    program = files_of(page)["pay.py"].replace(ADDRESS, url)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "sent\n"
