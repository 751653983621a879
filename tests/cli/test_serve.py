"""`watchword serve` as a process: what a new user is told, and that it is true."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import PASSWORD, Terminal
from tests.patience import PATIENCE, until
from tests.servers.process import end

PROGRAM = str(Path(sys.executable).with_name("watchword"))


class Process:
    """A `watchword` under test, its output in a file or on a terminal."""

    def __init__(self, folder: Path, *words: str, on_terminal: bool = False) -> None:
        outside = {k: v for k, v in os.environ.items() if k[:10] != "WATCHWORD_"}
        self._file = folder / "printed"
        self._seen = b""
        self._main: int | None = None
        command = [PROGRAM, *words]
        how: dict[str, Any] = {"env": outside, "cwd": folder, "start_new_session": True}
        if on_terminal:
            self._main, far = pty.openpty()
            os.set_blocking(self._main, False)
            self.process = subprocess.Popen(
                command, stdin=far, stdout=far, stderr=far, **how
            )
            os.close(far)
        else:
            with self._file.open("wb") as file:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **how
                )

    def printed(self) -> str:
        if self._main is None:
            return self._file.read_text()
        # Nothing more now, or the other side has gone.
        with contextlib.suppress(OSError):
            self._seen += os.read(self._main, 65536)
        return self._seen.decode().replace("\r\n", "\n")

    def wait_for(self, pattern: str) -> re.Match[str]:
        found: list[re.Match[str]] = []

        def came() -> bool:
            found.extend(re.finditer(pattern, self.printed(), re.MULTILINE))
            assert found or self.process.poll() is None, self.printed()
            return bool(found)

        until(came)
        return found[0]

    def type(self, text: str) -> None:
        assert self._main is not None
        os.write(self._main, text.encode())

    def stop(self) -> int:
        code = end(self.process)
        if self._main is not None:
            os.close(self._main)
            self._main = None
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    running: list[Process] = []

    def one(*words: str, **how: bool) -> Process:
        running.append(Process(tmp_path, *words, **how))
        return running[-1]

    yield one
    for process in running:
        process.stop()


def shell(line: str) -> dict[str, Any]:
    """The answer to a line that was printed for a user, once the server is up."""
    printed: list[bytes] = []

    def answered() -> bool:
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
        printed.append(done.stdout)
        return done.returncode == 0 and bool(done.stdout)

    until(answered)
    answer: dict[str, Any] = json.loads(printed[-1])
    return answer


CURL = r"^  (curl -s (?:.*\\\n)?.*)$"


def test_without_a_terminal_the_password_is_in_a_file_of_ours(
    start: Any, tmp_path: Path
) -> None:
    server = start("serve", "--port", "0")
    line = server.wait_for(CURL)[1]
    folder = tmp_path / "watchword-data"
    file = folder / "admin-password"
    assert file.stat().st_mode & 0o777 == 0o600
    password = file.read_text().strip()
    assert password not in server.printed()
    assert "watchword-data/admin-password" in server.printed()
    assert "MADE A SERVER SECRET in watchword-data/secret" in server.printed()
    assert (folder / "secret").read_text().strip() not in server.printed()
    answer = shell(line)
    assert answer["tokenType"] == "Bearer"

    docs = server.wait_for(r"^Docs  (\S+)$")[1]
    subprocess.run(["curl", "-sf", docs], capture_output=True, check=True)
    terminal = Terminal(folder)
    terminal.run("sessions", "revoke", "--all")
    secure = docs.removesuffix("/docs") + "/api/auth/secure"
    asking = f"curl -s -H 'Authorization: Bearer {answer['accessToken']}' {secure}"
    until(lambda: shell(asking).get("code") == "token_revoked")

    assert server.stop() in {0, -signal.SIGTERM}  # uvicorn passes the signal on
    again = start("serve", "--port", "0")
    assert "status" in shell(again.wait_for(CURL)[1])
    assert "MADE" not in again.printed()
    assert "admin" not in again.printed()


def test_on_a_terminal_the_password_is_shown_once(start: Any, tmp_path: Path) -> None:
    server = start("serve", "--port", "0", "--data", "d", on_terminal=True)
    password = server.wait_for(r"shown only now: (\S+)$")[1]
    assert password in server.wait_for(CURL)[1]
    assert not (tmp_path / "d" / "admin-password").exists()
    assert "accessToken" in shell(server.wait_for(CURL)[1])


def test_a_program_reads_where_the_server_is(start: Any) -> None:
    server = start("serve", "--port", "0", "--json")
    told = json.loads(server.wait_for(r"^{.*}$")[0])
    assert told["api"].endswith("/api/auth")
    assert told["adminPasswordFile"] == "watchword-data/admin-password"


def test_behind_a_proxy_the_line_to_try_says_https(start: Any) -> None:
    server = start("serve", "--port", "0", "--behind-proxy", "127.0.0.1")
    assert "accessToken" in shell(server.wait_for(CURL)[1])


def test_a_server_that_others_reach_names_all_that_it_lacks(start: Any) -> None:
    server = start("serve", "--host", "0.0.0.0")
    assert server.process.wait(PATIENCE) == 2
    assert len(server.printed().splitlines()) == 3


def test_a_password_is_asked_for_twice_and_not_shown(
    start: Any, tmp_path: Path
) -> None:
    adding = start("user", "add", "alice", "--data", "d", on_terminal=True)
    adding.wait_for(r"^Password: ")
    adding.type(f"{PASSWORD}\n")
    adding.wait_for(r"^Repeat for confirmation: ")
    adding.type(f"{PASSWORD}\n")
    adding.wait_for(r"^Made the account alice\.")
    assert PASSWORD not in adding.printed()
    assert [row["name"] for row in Terminal(tmp_path / "d").json("user", "list")] == [
        "alice"
    ]


def test_following_shows_what_comes_from_now_on(start: Any, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "data")
    terminal.add("alice")
    following = start("audit", "--follow", "--json", "--data", "data")

    def shown() -> bool:
        terminal.run("user", "disable", "alice")  # until it has started, and after
        return bool(following.printed())

    until(shown)
    event = json.loads(following.wait_for(r"^{.*}$")[0])
    assert event["type"] == "user_updated"
    assert "user_created" not in following.printed()
    following.process.send_signal(signal.SIGINT)
    assert following.process.wait(PATIENCE) == 0


def test_help_is_quick() -> None:
    """No engine is loaded for it; the time itself is too noisy to assert."""
    heavy = "{'apsw', 'argon2', 'cryptography', 'pydantic', 'starlette', 'uvicorn'}"
    code = f"import sys, watchword.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"
