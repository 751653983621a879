"""`watchword serve` as a process: what a new user is told, and that it is true."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.cli.terminal import PASSWORD, Terminal
from tests.pages import clean_environment
from tests.patience import PATIENCE, until
from tests.servers.process import end, free_port
from watchword.cli import main, progress
from watchword.config import Settings
from watchword.errors import SettingsError
from watchword.server import bind

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("watchword"))


class Process:
    """A `watchword` under test, its output in a file or on a terminal."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        on_terminal: bool = False,
        program: str = PROGRAM,
    ) -> None:
        # Not the settings of outside, nor what `make` tells a `make` below it, nor
        # modules of other folders, that may bear a name of the standard library.
        ours = ("WATCHWORD_", "MAKE", "MFLAGS", "PYTHONPATH")
        outside = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self._file = folder / "printed"
        self._seen = b""
        self._main: int | None = None
        command = [program, *words]
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

    def interrupt(self) -> int:
        """Ctrl-C: the terminal sends it to the whole process group; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        code = end(self.process)
        if self._main is not None:
            os.close(self._main)
            self._main = None
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    running: list[Process] = []

    def one(*words: str, **how: Any) -> Process:
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

    mail = server.wait_for(r"^Mail  kept in (\S+): `(\S+) (.+)` shows the newest$")
    assert mail[1] == "watchword-data/outbox"
    assert (Path(mail[2]).name, mail[3]) == ("watchword", "mail show")
    # A shell of this user finds it, whether or not a `.venv` is active.
    assert shutil.which(mail[2], path=clean_environment().get("PATH")) is not None

    docs = server.wait_for(r"^Docs  (\S+)$")[1]
    pages = server.wait_for(r"^Pages (\S+/sign-in)$")[1]
    subprocess.run(["curl", "-sf", docs, pages], capture_output=True, check=True)
    terminal = Terminal(folder)
    terminal.run("sessions", "revoke", "--all")
    secure = docs.removesuffix("/docs") + "/api/auth/secure"
    asking = f"curl -s -H 'Authorization: Bearer {answer['accessToken']}' {secure}"
    until(lambda: shell(asking).get("code") == "token_revoked")

    server.wait_for(r"passkeys are off.*: use --issuer http://localhost:\d+$")
    assert server.stop() == 0
    again = start("serve", "--port", "0")
    assert "status" in shell(again.wait_for(CURL)[1])
    assert "MADE" not in again.printed()
    assert "admin" not in again.printed()


def test_the_first_account_has_the_name_that_was_set(
    start: Any, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "watchword.toml").write_text(
        'admin = "Zo\u00eb O\'Neill "\nregistration = "open"\n'
    )
    server = start("serve", "--port", "0", "--data", "d")
    server.wait_for(r"^Made the account zo\u00eb o'neill\. ")
    server.wait_for(r"`\S*watchword mail show --data d`")
    server.wait_for(r"^Pages \S+/register$")
    assert "accessToken" in shell(server.wait_for(CURL)[1])
    (made,) = Terminal(tmp_path / "d").json("user", "list")
    assert made["roles"] == ["admin"]


def test_a_first_account_of_which_a_factor_is_demanded_is_told_its_way_in(
    start: Any, tmp_path: Path
) -> None:
    """It has no mailbox to prove, so an operator's token is the only one."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "watchword.toml").write_text('second_factor = "required:admin"')
    server = start("serve", "--port", "0", "--data", "d")
    command = server.wait_for(r"^  (\S*watchword user enrol-code admin --data d)$")[1]
    stopped = shell(server.wait_for(CURL)[1])
    assert stopped["code"] == "second_factor_enrolment_required"
    made = subprocess.run(
        shlex.split(command), cwd=tmp_path, capture_output=True, text=True, check=True
    )
    api = server.wait_for(r"^API   (\S+)$")[1]
    body = {"continuation": stopped["continuation"], "token": made.stdout.strip()}
    enrolling = (
        f"curl -s {api}/login/enrol/totp -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(body))}"
    )
    assert "secret" in shell(enrolling)
    assert server.stop() == 0
    again = start("serve", "--port", "0", "--data", "d")
    again.wait_for(CURL)
    assert "enrol-code" not in again.printed()


def test_the_printed_address_is_an_issuer_of_this_machine(start: Any) -> None:
    """A person that opens it by a number instead has no passkeys there."""
    port = free_port()
    issuer = f"http://localhost:{port}"
    server = start("serve", "--port", str(port), "--issuer", issuer)
    assert server.wait_for(r"^Pages (\S+)/sign-in$")[1] == issuer
    assert "accessToken" in shell(server.wait_for(CURL)[1])


def test_on_a_terminal_the_password_is_shown_once(start: Any, tmp_path: Path) -> None:
    server = start("serve", "--port", "0", "--data", "d", on_terminal=True)
    password = server.wait_for(r"shown only now: (\S+)$")[1]
    assert password in server.wait_for(CURL)[1]
    until(lambda: not (tmp_path / "d" / "admin-password").exists())
    assert "accessToken" in shell(server.wait_for(CURL)[1])


def test_a_program_reads_where_the_server_is(start: Any) -> None:
    server = start("serve", "--port", "0", "--json")
    told = json.loads(server.wait_for(r"^{.*}$")[0])
    assert told["api"].endswith("/api/auth")
    assert told["console"] == told["docs"].replace("/docs", "/console")
    assert told["adminPasswordFile"] == "watchword-data/admin-password"


def test_a_server_that_others_reach_names_all_that_it_lacks(start: Any) -> None:
    server = start("serve", "--host", "0.0.0.0")
    assert server.process.wait(PATIENCE) == 2
    assert len(server.printed().splitlines()) == 3


def test_a_password_is_asked_for_twice_and_not_shown(
    start: Any, tmp_path: Path
) -> None:
    adding = start("user", "add", "alice", "--data", "d", on_terminal=True)
    asked = adding.wait_for(r"(.*)\nPassword: ")[1]
    assert asked == "A password has at least 15 characters."
    adding.type(f"{PASSWORD}\n")
    adding.wait_for(r"^Repeat for confirmation: ")
    adding.type(f"{PASSWORD}\n")
    adding.wait_for(r"^Made the account alice\.")
    assert PASSWORD not in adding.printed()
    assert [row["name"] for row in Terminal(tmp_path / "d").json("user", "list")] == [
        "alice"
    ]


def test_an_import_shows_how_far_it_is_on_a_terminal(
    start: Any, tmp_path: Path
) -> None:
    Terminal(tmp_path / "d").add("admin")
    rows = [{"username": f"u{n}", "passwordHash": "!"} for n in range(700)]
    (tmp_path / "rows").write_text("\n".join(map(json.dumps, rows)))
    importing = start("user", "import", "rows", "--data", "d", on_terminal=True)
    importing.wait_for(r"Importing +\[#+\] +100%")
    importing.wait_for(r"^Imported 700, refused 0\.")
    piped = start("user", "import", "rows", "--data", "d")
    assert piped.process.wait(PATIENCE) == 1
    assert "Importing" not in piped.printed()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_takes_long_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0.01)
    monkeypatch.setattr("sys.stderr", screen := Screen())
    with progress.elapsing("Ending sessions"):
        until(lambda: "so far" in screen.getvalue())
    assert re.search(r"\rEnding sessions: \d+ s so far", screen.getvalue())
    assert screen.getvalue().endswith(" \r")
    monkeypatch.setattr("sys.stderr", plain := io.StringIO())
    with progress.elapsing("Ending sessions"):
        time.sleep(0.05)
    assert not plain.getvalue()


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


def taken_port() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    assert listener.getsockname()[1] >= 1024
    return listener


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_a_sentence_and_nothing_is_made(
    start: Any, tmp_path: Path, workers: str
) -> None:
    with taken_port() as taken:
        port = str(taken.getsockname()[1])
        server = start("serve", "--port", port, "--workers", workers)
        assert server.process.wait(PATIENCE) == 2
    assert server.printed() == (
        f"watchword: port {port} of 127.0.0.1 is in use by another program, or by "
        "another `watchword serve`: stop that one, or give another --port\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["printed"]


def tls_files(folder: Path) -> None:
    for name in ("a", "b"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"),
                *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    locking = ["openssl", "pkey", "-in", "a.key", "-out", "locked.key"]
    subprocess.run([*locking, "-aes256", "-passout", "pass:x"], cwd=folder, check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--host 192.0.2.1 --tls-cert a.pem --tls-key a.key", "no address of this mac"),
        ("--host no.invalid --tls-cert a.pem --tls-key a.key", "no address or name"),
        ("--tls-cert a.pem --tls-key b.key", "b.key is not the key of the certificate"),
        ("--tls-cert a.pem --tls-key locked.key", "locked.key is encrypted, and a ser"),
        ("--tls-cert a.pem --tls-key absent.key", "--tls-key: the file cannot be read"),
        (
            "--tls-cert a.key --tls-key a.key",
            "are not a certificate in PEM and its key",
        ),
    ],
)
def test_a_start_that_cannot_serve_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, expected: str
) -> None:
    tls_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHWORD_SECRET", "s" * 40)
    monkeypatch.setenv("WATCHWORD_ISSUER", "https://a.example")
    done = CliRunner().invoke(main, ["serve", "--port", "0", *words.split()])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert expected in line
    assert not (tmp_path / "watchword-data").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("WATCHWORD_ADMIN_PASSWORD", "short"), ("WATCHWORD_ADMIN", "a\u200bb")],
)
def test_a_first_account_that_is_refused_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(setting, value)
    done = CliRunner().invoke(main, ["serve", "--port", "0"])
    assert done.exit_code == 2
    assert f"{setting} cannot be used" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::"])
def test_a_port_that_is_drawn_is_the_one_that_is_served(host: str) -> None:
    with bind(Settings(host=host, port=0)) as listeners:
        port = listeners[0].getsockname()[1]
        for listener in listeners:
            listener.listen()
        addresses = ("127.0.0.1", "::1") if host == "::" else (host,)
        for address in addresses:
            socket.create_connection((address, port), timeout=PATIENCE).close()
        again = bind(Settings(host=host, port=port))
        with pytest.raises(SettingsError, match=f"port {port} of {host} is in use"):
            again.__enter__()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EACCES, "port 80 is not for this user: give a --port from 1024 on"),
        (errno.EADDRNOTAVAIL, "--host 127.0.0.1 is no address of this machine"),
        (errno.ENOBUFS, "cannot listen on port 80 of 127.0.0.1: No buffer space avail"),
    ],
)
def test_what_the_system_says_of_a_socket_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, code: int, expected: str
) -> None:
    """Tests may run as root, who may listen anywhere: so the refusal is made."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(SettingsError) as refused, bind(Settings(port=80)):
        pass
    assert refused.value.faults[0].startswith(expected)


def only_the_access_log(said: str) -> bool:
    return all("POST /api/auth/login 200" in line for line in said.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        # Behind a proxy, the line to try says https.
        ("--behind-proxy", "127.0.0.1"),
        ("--workers", "2"),
    ],
)
def test_ctrl_c_is_a_good_end(start: Any, words: tuple[str, str]) -> None:
    server = start("serve", "--port", "0", *words)
    assert "accessToken" in shell(server.wait_for(CURL)[1])
    before = server.printed()
    assert server.interrupt() == 0
    assert only_the_access_log(server.printed().removeprefix(before))


def test_ctrl_c_while_workers_start_is_a_good_end(start: Any) -> None:
    """They have just begun to import: none of them may hear it."""
    server = start("serve", "--port", "0", "--workers", "3")
    server.wait_for(CURL)
    assert server.interrupt() == 0
    assert "Traceback" not in server.printed()


def test_ctrl_c_under_make_is_no_error(start: Any, tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nserve:")[1].split("\n\n")[0]
    line = recipe.splitlines()[1].replace("$(BIN)", str(Path(PROGRAM).parent))
    (tmp_path / "Makefile").write_text(f"ARGS = --port 0\nserve:\n{line}\n")
    made = start("serve", program="make")
    shell(made.wait_for(CURL)[1])
    before = made.printed()
    assert made.interrupt() == -signal.SIGINT  # make's own end, without a word
    assert only_the_access_log(made.printed().removeprefix(before))


@pytest.mark.parametrize("asking", ["user add alice", "audit --follow --after 0"])
def test_ctrl_c_ends_any_command_without_a_traceback(start: Any, asking: str) -> None:
    if asking.startswith("audit"):
        start("serve", "--port", "0").wait_for(CURL)
    command = start(*asking.split(), on_terminal=True)
    command.wait_for("Password: " if "add" in asking else "key_created|user_created")
    code = command.interrupt()
    assert code == (130 if "add" in asking else 0)
    assert "Aborted" not in command.printed()
    assert "Traceback" not in command.printed()


def test_help_is_quick() -> None:
    """No engine is loaded for it; the time itself is too noisy to assert."""
    heavy = "{'apsw', 'argon2', 'cryptography', 'pydantic', 'starlette', 'uvicorn'}"
    code = f"import sys, watchword.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"
