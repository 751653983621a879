"""`watchword login`, `token` and `logout`, against a real server."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result

from tests.pages import COMMAND, clean_environment
from tests.server.live import PASSWORD, Live
from tests.walking import Walker
from watchword.cli import main
from watchword.client import Auth

SECURE = "/api/auth/secure"
NO_BROWSER = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("sign-in") / "data") as server:
        yield server


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of settings, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def run(*words: str | Path, typed: str | None = None, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(map(str, words)), input=typed)
    assert result.exit_code == code, (words, result.output, result.exception)
    return result


def told(*words: str | Path, **how: Any) -> Any:
    return json.loads(run(*words, "--json", **how).stdout)


def sign_in(live: Live, *words: str | Path, **how: Any) -> Result:
    given = ("--url", live.url, "--user", "admin", "--password-stdin")
    return run("login", *given, *words, typed=f"{PASSWORD}\n", **how)


def test_a_day_from_login_to_logout(live: Live, config: Path) -> None:
    assert sign_in(live).stdout == f"Signed in at {live.url} as admin.\n"
    file = config / "watchword" / "session.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    access = run("token").stdout.removesuffix("\n")
    assert live.call("GET", SECURE, access=access).status == 200
    assert told("token") == {"accessToken": access}
    assert run("logout").stdout == "Signed out.\n"
    assert live.call("GET", SECURE, access=access).code == "token_revoked"
    assert not file.exists()
    assert told("logout") == {"ended": False}
    error = json.loads(run("token", "--json", code=1).stderr)
    assert error["code"] == "signed_out"
    assert "watchword login" in error["message"]


def test_an_expired_token_is_refreshed_and_a_good_one_printed_again(
    live: Live, config: Path
) -> None:
    sign_in(live)
    file = config / "watchword" / "session.json"
    kept = json.loads(file.read_text())
    assert run("token").stdout == run("token").stdout
    file.write_text(json.dumps(kept | {"fetched_at": kept["fetched_at"] - 110}))
    new = run("token").stdout.strip()
    assert new != kept["access_token"]
    assert run("token").stdout.strip() == new


def test_the_file_is_where_it_is_told_to_be(live: Live, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "down" / "s.json"
    assert json.loads(sign_in(live, "--file", file, "--json").stdout) == {
        "url": live.url,
        "user": "admin",
        "file": str(file),
    }
    assert told("token", "--file", file)["accessToken"]
    assert told("logout", "--file", file) == {"ended": True}


@pytest.mark.parametrize(
    ("address", "exit_code", "code"),
    [
        (None, 1, "invalid_credentials"),
        ("http://auth.example", 2, "settings_invalid"),
        ("http://127.0.0.1:1", 1, "unreachable"),
    ],
)
def test_what_is_wrong_with_a_login_is_said(
    live: Live, config: Path, address: str | None, exit_code: int, code: str
) -> None:
    wrong = "wrong-password-of-admin"
    given = ["--url", address or live.url, "--user", "admin", "--password-stdin"]
    failed = run("login", *given, "--json", typed=wrong, code=exit_code)
    assert json.loads(failed.stderr)["code"] == code
    assert wrong not in failed.output
    assert not (config / "watchword" / "session.json").exists()


def test_without_a_terminal_nobody_is_asked(live: Live, config: Path) -> None:
    assert "--user" in run("login", "--url", live.url, code=2).stderr
    given = "login", "--url", live.url, "--user", "admin"
    assert "--password-stdin" in run(*given, code=2).stderr
    assert not config.exists()


def test_on_a_terminal_name_and_password_are_asked_for(
    live: Live, config: Path
) -> None:
    """The password is not shown. A browser, where there is one, was not found."""
    terminal, other_end = pty.openpty()
    environment = clean_environment(XDG_CONFIG_HOME=str(config), **NO_BROWSER)
    with subprocess.Popen(
        [COMMAND, "login", "--url", live.url],
        stdin=other_end,
        stdout=subprocess.PIPE,
        stderr=other_end,
        env=environment,
        start_new_session=True,
    ) as process:
        shown = b""
        for question, answer in ((b"User: ", "admin"), (b"Password: ", PASSWORD)):
            while question not in shown:
                shown += os.read(terminal, 1024)
            os.write(terminal, f"{answer}\n".encode())
        assert process.stdout is not None
        assert process.stdout.read().endswith(b" as admin.\n")
    os.close(other_end)
    os.close(terminal)
    assert PASSWORD.encode() not in shown
    assert shown.startswith(b"No browser is found here (see --no-browser).")


@pytest.mark.parametrize(
    "how", [["--user", "ann", "--password-stdin"], ["--no-browser"]]
)
def test_a_server_that_does_not_answer_is_named(config: Path, how: list[str]) -> None:
    told = run("login", "--url", "http://127.0.0.1:1", *how, typed="x\n", code=1)
    assert told.stderr == (
        "watchword: There is no answer from http://127.0.0.1:1 (see --url).\n"
    )


@pytest.mark.parametrize("opened", [True, False])
def test_in_a_browser_the_user_signs_in_at_the_pages(
    live: Live, config: Path, *, opened: bool
) -> None:
    """The session that is made outlives the sign-in of the browser."""
    terminal, other_end = pty.openpty()
    told = config.parent / "told"
    browser = config.parent / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {told}\n')
    browser.chmod(0o700)
    given = NO_BROWSER | ({"BROWSER": str(browser)} if opened else {})
    with subprocess.Popen(
        [COMMAND, "login", "--url", live.url, *([] if opened else ["--no-browser"])],
        stdin=other_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(XDG_CONFIG_HOME=str(config), **given),
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert "this address on this machine" in process.stderr.readline()
        address = process.stderr.readline().strip()
        walker = Walker(live.url)
        page = httpx2.get(walker.walk(address))
        assert "close this window" in page.text
        assert process.stdout.read() == f"Signed in at {live.url} as admin.\n"
    os.close(other_end)
    os.close(terminal)
    assert not opened or told.read_text() == address
    walker.sign_out()
    access = run("token").stdout.strip()
    assert live.call("GET", SECURE, access=access).status == 200


def test_a_browser_is_not_for_a_password(live: Live, config: Path) -> None:
    given = "login", "--url", live.url, "--no-browser", "--user", "admin"
    assert "--no-browser" in run(*given, code=2).stderr


def test_a_bound_sessions_token_is_not_printed(live: Live, config: Path) -> None:
    """It would work for nobody; a logout needs no proof."""
    file = config / "watchword" / "session.json"
    Auth(live.url, file=file, dpop=True).login("admin", PASSWORD)
    assert "proof of its key" in run("token", code=1).stderr
    assert run("logout").stdout == "Signed out.\n"


def test_a_file_that_is_open_to_others_is_refused(live: Live, config: Path) -> None:
    sign_in(live)
    (config / "watchword" / "session.json").chmod(0o644)
    assert "chmod 600" in run("token", code=1).stderr
