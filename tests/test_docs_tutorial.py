"""The tutorial, followed from its first line to its last by one reader."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.pages import COMMAND, ROOT, clean_environment, files_of
from tests.servers.process import end, wait_for
from tests.test_docs import ADDRESS, SHAPES, assert_alike, steps_of

PAGE: Final = ROOT / "docs/tutorial.md"
FILES: Final = files_of(PAGE)
STEPS: Final = steps_of(PAGE)
MARK: Final = "=== next step ==="


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader has typed into files."""
    made = tmp_path_factory.mktemp("tutorial")
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The app, started as the page says, but for the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)]
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
def printed(folder: Path, url: str) -> list[str]:
    script = f"\nprintf '\\n{MARK}\\n'\n".join(step.commands for step in STEPS)
    assert ADDRESS in script
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script.replace(ADDRESS, url)],
        cwd=folder,
        env=clean_environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(f"\n{MARK}\n")


@pytest.mark.parametrize("place", range(len(STEPS)))
def test_every_answer_of_the_tutorial_is_the_apps(
    printed: list[str], place: int
) -> None:
    expected, got = STEPS[place].expected, printed[place].strip()
    assert expected is not None
    if expected.kind == "text":
        assert got == expected.text.strip()
        return
    wanted, answered = json.loads(expected.text), json.loads(got)
    if "hello" in wanted:
        assert list(answered) == ["hello"]
        assert re.fullmatch(SHAPES["subject"], answered["hello"])
    elif isinstance(wanted, list):
        assert answered == wanted
    else:
        assert wanted.pop("expiresIn", 0) == answered.pop("expiresIn", 0)
        assert_alike(wanted, answered)


def test_the_test_of_the_tutorial_passes(tmp_path: Path) -> None:
    for name, text in FILES.items():
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
