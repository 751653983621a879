"""`watchword login` with a second factor: on a terminal, and without one."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyotp
import pytest

from tests.cli.terminal import Terminal
from tests.pages import COMMAND, clean_environment
from tests.server.live import PASSWORD, Live
from watchword.bootstrap import Watchword
from watchword.client import Auth

SECRET: Final = re.compile(rb"Secret: ([A-Z2-7]+)\r\n")
CODE: Final = b"Code of your authenticator app"
EITHER: Final = CODE + b" or recovery code: "


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("second-step") / "data") as server:
        yield server


class Person:
    """One at a terminal, who answers the questions of `watchword login`."""

    def __init__(self, live: Live, file: Path, *words: str) -> None:
        self._terminal, self._end = pty.openpty()
        given = ["--url", live.url, "--user", "admin", "--file", str(file), *words]
        self._process = subprocess.Popen(
            [COMMAND, "login", *given],
            stdin=self._end,
            stdout=subprocess.PIPE,
            stderr=self._end,
            env=clean_environment(),
            start_new_session=True,
        )
        self.seen = b""
        self.answer(b"Password: ", PASSWORD)

    def answer(self, question: bytes, text: str) -> bytes:
        """What was shown before the question."""
        shown = b""
        while question not in shown:
            shown += os.read(self._terminal, 4096)
        os.write(self._terminal, f"{text}\n".encode())
        self.seen += shown
        return shown

    def end(self) -> tuple[int, bytes]:
        """The exit code, and what came on standard output."""
        printed, _ = self._process.communicate()
        os.close(self._end)
        with suppress(OSError):  # raised at the end of what was shown
            while more := os.read(self._terminal, 4096):
                self.seen += more
        os.close(self._terminal)
        return self._process.returncode, printed


async def demand(watchword: Watchword) -> str:
    account = await watchword.accounts.get("admin")
    factors = watchword.second_factors.factors
    await factors.reset(account.id)
    await factors.require(account.id)
    return await factors.enrol_code(account.id)


def test_a_factor_is_enrolled_and_asked_for(live: Live, tmp_path: Path) -> None:
    """Three wrong codes are the end; and no answer is shown."""
    file = tmp_path / "session.json"
    token = Terminal(live.data).engine(demand)
    person = Person(live, file, "--json")
    person.answer(b"mailed to you): ", "ww_cf_of-another-mail")
    person.answer(b"mailed to you): ", "")
    person.answer(b"Token: ", token)
    shown = person.answer(CODE, "000000")
    (secret,) = SECRET.findall(shown)
    assert b"otpauth://totp/" in shown
    assert "█".encode() in shown
    person.answer(CODE, pyotp.TOTP(secret.decode()).now())
    code, printed = person.end()
    told = json.loads(printed)
    assert (code, len(told["recoveryCodes"])) == (0, 10)
    assert token.encode() not in person.seen
    assert b"token is wrong" in person.seen
    assert b"user enrol-code" in person.seen

    wrong = Person(live, file)
    for _ in range(3):
        wrong.answer(EITHER, "000000")
    assert wrong.end() == (1, b"")
    assert wrong.seen.count(b"second factor is wrong") == 3

    spent = told["recoveryCodes"][0]
    right = Person(live, file)
    right.answer(EITHER, spent.lower())
    assert right.end() == (0, f"Signed in at {live.url} as admin.\n".encode())
    assert spent.lower().encode() not in right.seen
    assert Auth(live.url, file=file).factors.list().recovery_codes_left == 9


def test_without_a_terminal_the_error_says_what_is_needed(
    live: Live, tmp_path: Path
) -> None:
    Terminal(live.data).engine(demand)
    given: list[Any] = ["--url", live.url, "--user", "admin", "--password-stdin"]
    done = subprocess.run(
        [COMMAND, "login", *given, "--file", tmp_path / "session.json", "--json"],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(),
    )
    assert done.returncode == 1
    told = json.loads(done.stderr)
    assert told["code"] == "second_factor_enrolment_required"
    assert "on a terminal" in told["message"]
    assert not (tmp_path / "session.json").exists()
