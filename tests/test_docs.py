"""The documentation is true: commands run, tables are complete, links lead somewhere.

README.md is executed from top to bottom: ```sh blocks are run by one bash against a
server started for the first time; the block after one (```json, ```http, ```text) is
the answer that it must get. Tokens, ids and what is left of a lifetime may differ;
names, messages, codes and statuses may not. ```console blocks are not run here.
"""

from __future__ import annotations

import inspect
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

import watchword
from tests.pages import (
    NAMES,
    ROOT,
    Block,
    anchors_of,
    blocks_of,
    clean_environment,
    printed_by,
    rows_of,
    script_of,
    without_blocks,
)
from tests.rows import in_one
from tests.server.live import RUNNER
from tests.servers.process import end, wait_for
from watchword import errors
from watchword.cli import main
from watchword.config import ENV_PREFIX, FILE_VARIABLE, Settings
from watchword.core import limits
from watchword.errors import WatchwordError
from watchword.passwords.policy import LENGTH_MAX, LENGTH_MIN
from watchword.server import problems

README: Final = ROOT / "README.md"

ADDRESS: Final = "http://127.0.0.1:8000"
ANSWERS: Final = ("json", "http", "text")


# The six steps, and what follows them


class Step(NamedTuple):
    """A block of commands, and the block that says what they print."""

    commands: str
    expected: Block | None


def steps_of(page: Path) -> list[Step]:
    steps: list[Step] = []
    blocks = blocks_of(page)
    for place, block in enumerate(blocks):
        following = blocks[place + 1] if place + 1 < len(blocks) else None
        if block.kind == "sh":
            answered = following is not None and following.kind in ANSWERS
            steps.append(Step(block.text, following if answered else None))
    return steps


class Server(NamedTuple):
    url: str
    said: str
    password: str
    clock: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`watchword serve`, on a terminal and in an empty folder, as a new user has it."""
    folder = tmp_path_factory.mktemp("readme")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    terminal, other_end = pty.openpty()
    clock = folder / "clock"
    clock.write_text("0")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, RUNNER, "0", "--port", str(port)],
            cwd=folder,
            env=clean_environment(CLOCK_OFF_BY=str(clock)),
            stdout=other_end,
            stderr=log,
        )
    try:
        wait_for(port, process)
        said = os.read(terminal, 65536).decode().replace("\r\n", "\n")
        yield Server(f"http://127.0.0.1:{port}", said, password_in(said), clock)
    finally:
        assert end(process) in {0, -signal.SIGTERM}
        os.close(terminal)
        os.close(other_end)


def password_in(text: str) -> str:
    (password,) = re.findall(r"Password, shown only now: (\S+)$", text, re.MULTILINE)
    return str(password)


@pytest.fixture(scope="module")
def printed(server: Server) -> list[str]:
    """What each step of the README prints, in one shell, as for a reader."""
    script = script_of(step.commands for step in STEPS)
    script = replaced(script, ADDRESS, server.url)
    script = replaced(script, "the password that was shown", server.password)
    # Two minutes pass for the server alone: the clock is replaced, never half of it.
    aside = server.clock.with_suffix(".new")
    passed = f"echo 120 > {aside}; mv {aside} {server.clock}"
    return printed_by(replaced(script, "sleep 120", passed))


def replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"the README does not say {old!r} any more"
    return text.replace(old, new)


STEPS: Final = steps_of(README)


@pytest.mark.parametrize("place", range(len(STEPS)))
def test_every_answer_in_the_readme_is_the_servers(
    printed: list[str], place: int
) -> None:
    expected, got = STEPS[place].expected, printed[place].strip()
    if expected is None:
        assert not got
    elif expected.kind == "text":
        assert got == expected.text.strip()
    elif expected.kind == "json":
        assert_alike(json.loads(expected.text), json.loads(got))
    else:
        assert_answer(expected.text, got)


def assert_answer(expected: str, got: str) -> None:
    """A whole answer: its status, the headers that are shown, its body.

    A header that is shown with "…" at its end goes on.
    """
    wanted_head, wanted_body = expected.split("\n\n", 1)
    head, body = got.split("\n\n", 1)
    wanted, lines = wanted_head.splitlines(), head.splitlines()
    assert lines[0] == wanted[0]
    for header in wanted[1:]:
        begun = header.removesuffix("…")
        shown = [line for line in lines[1:] if line.startswith(begun)]
        assert header in lines or (header != begun and shown), header
    assert_alike(json.loads(wanted_body), json.loads(body))


# What is another one each time: how it looks instead.
SHAPES: Final = {
    "accessToken": r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
    "access_token": r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
    "refreshToken": r"ww_rt_[\w-]{76}",
    "refresh_token": r"ww_rt_[\w-]{76}",
    "continuation": r"ww_ct_[\w-]+",
    "sessionId": r"[0-9a-f-]{36}",
    "subject": r"[0-9a-f-]{36}",
}


def assert_alike(wanted: dict[str, Any], got: dict[str, Any]) -> None:
    assert list(got) == list(wanted)
    for name, value in wanted.items():
        if name in SHAPES:
            assert re.fullmatch(SHAPES[name], got[name])
            assert re.match(SHAPES[name].split("[")[0], value)
        elif name in {"expiresIn", "expires_in"}:
            assert value == Settings().access_ttl
            assert 0 < got[name] <= value
        else:
            assert got[name] == value, name


def test_the_readme_has_all_six_steps() -> None:
    found = re.findall(r"^\*\*(\d)\. ", README.read_text(), re.MULTILINE)
    assert found == ["1", "2", "3", "4", "5", "6"]


def test_the_readme_shows_what_the_first_start_prints(server: Server) -> None:
    (shown,) = [b.text for b in blocks_of(README) if "MADE A SERVER SECRET" in b.text]
    # `make serve` runs in the folder of the repository, this server in one of its own.
    said = server.said.replace(server.url, ADDRESS).replace(f"{ROOT}/", "")
    assert said.replace(server.password, password_in(shown)).strip() == shown.strip()


def test_the_program_in_the_documentation_runs(tmp_path: Path) -> None:
    (program,) = [
        block.text
        for block in blocks_of(ROOT / "docs/concepts.md")
        if block.kind == "python"
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    session, code = done.stdout.split()
    assert re.fullmatch(SHAPES["sessionId"], session)
    assert code == errors.TokenRevoked.code


# Tables


def test_the_tables_that_are_made_leave_nothing_out() -> None:
    """`make docs` fills them, and `tests/test_docs_site.py` asks that it did."""
    settings = rows_of(ROOT / "docs/settings.md", "| variable | default |")
    wanted = [f"`{ENV_PREFIX}{name.upper()}`" for name in Settings.model_fields]
    assert [row[0] for row in settings] == wanted
    codes = rows_of(ROOT / "docs/errors.md", "| code | status |")
    codes += rows_of(ROOT / "docs/errors.md", "| code | meaning |")
    said = [re.findall(r"^\[`(\w+)`\]", row[0])[0] for row in codes]
    assert sorted(said) == sorted(kind.code for kind in errors_raised())
    assert all(cell for row in codes for cell in row[1:3])
    commands = rows_of(ROOT / "docs/commands.md", "| command |")
    assert all(cell for row in commands for cell in row)
    assert {row[0].strip("`").split()[0] for row in commands} == set(main.commands)


@in_one("name", NAMES)
def test_no_page_names_a_setting_that_there_is_not(name: str) -> None:
    known = {f"{ENV_PREFIX}{field.upper()}" for field in Settings.model_fields}
    known |= {FILE_VARIABLE, f"{ENV_PREFIX}NAME"}
    named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]*[A-Z]", (ROOT / name).read_text()))
    assert named <= known


def errors_raised() -> set[type[WatchwordError]]:
    """All that are raised: the classes at the end of the branches, and rows."""
    known = [getattr(errors, name) for name in errors.__all__]
    known += [kind for _, kind in inspect.getmembers(problems, inspect.isclass)]
    kinds = {k for k in known if issubclass(k, WatchwordError)}
    return {kind for kind in kinds if "code" in vars(kind)} - {WatchwordError}


def test_the_oauth_endpoints_answer_with_the_codes_that_are_shown() -> None:
    shown = {
        code: (int(status), error.strip("`"))
        for status, error, codes in rows_of(
            ROOT / "docs/errors.md", "| status | `error`"
        )
        for code in re.findall(r"`(\w+)`", codes)
    }
    of_oauth = {kind for kind in errors_raised() if kind.code in shown}
    assert {kind.code for kind in of_oauth} == set(shown)
    for kind in of_oauth - {errors.TokenProofInvalid, errors.TokenNonceNeeded}:
        assert problems.oauth_status(kind) == shown[kind.code]


def test_every_public_name_is_there_and_documented() -> None:
    cells = [row[0] for row in rows_of(ROOT / "docs/concepts.md", "| name | what")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == set(watchword.__all__)
    for name in watchword.__all__:
        assert getattr(watchword, name) is not None


def test_the_security_page_has_the_numbers_of_the_throttle() -> None:
    rows = rows_of(ROOT / "SECURITY.md", "| counted by |")
    minutes = limits.THROTTLE_NAME_INTERVAL // limits.MINUTE
    seconds = limits.THROTTLE_ADDRESS_INTERVAL // limits.SECOND
    assert [row[1:3] for row in rows] == [
        [str(limits.THROTTLE_NAME_BURST), f"every {minutes} minutes"],
        [str(limits.THROTTLE_ADDRESS_BURST), f"every {seconds} seconds"],
    ]
    of_account, codes, of_network = rows_of(ROOT / "SECURITY.md", "| tries of |")
    for row, burst, interval in (
        (of_account, limits.FACTOR_ACCOUNT_BURST, limits.FACTOR_ACCOUNT_INTERVAL),
        (of_network, limits.FACTOR_NETWORK_BURST, limits.FACTOR_NETWORK_INTERVAL),
    ):
        assert row[1:3] == [str(burst), f"every {interval // limits.SECOND} seconds"]
    assert codes[1] == str(limits.FACTOR_FAILURES_MAX)
    text = " ".join((ROOT / "SECURITY.md").read_text().split())
    a_day = limits.THROTTLE_NAME_BURST + limits.DAY // limits.THROTTLE_NAME_INTERVAL
    for sentence in (
        f"still gets {a_day} guesses at one name on the first day",
        f"{limits.THROTTLE_CLIENT_BURST} failures at once for a client",
        f"then one each {limits.THROTTLE_CLIENT_INTERVAL // limits.SECOND} seconds",
        f"{limits.RETRIES_PER_MINUTE} at once, then two a second",
        f"deleted after {limits.AUDIT_RETENTION // limits.DAY} days",
        f"deleted {limits.SWEEP_AFTER // limits.DAY} days after it expired",
        f"At least {LENGTH_MIN} characters, at most {LENGTH_MAX}",
    ):
        assert sentence in text


# Links


@in_one("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", without_blocks(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors_of(there), target


@in_one("name", NAMES)
def test_no_page_names_this_machine(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)
