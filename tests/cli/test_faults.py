"""What goes wrong is a sentence, an exit code, and nothing made or given away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

from tests.cli.terminal import PASSWORD, Terminal
from watchword.bootstrap import Watchword
from watchword.cli import main
from watchword.integrations.starlette import Auth

NEEDS_A_STORE = [
    "user list",
    "user disable alice",
    "user enable alice",
    "user passwd alice --password-stdin",
    "user roles alice",
    "user delete alice --yes",
    "user factors alice",
    "user reset-factors alice",
    "user require-factor alice",
    "user enrol-code alice",
    "user import -",
    "sessions list",
    "sessions revoke --all",
    "keys list",
    "keys rotate",
    "keys retire abc",
    "migrate",
    "migrate --plan",
    "migrate --check",
    "audit",
    "audit --follow",
    "inspect",
]


@pytest.mark.parametrize("command", NEEDS_A_STORE)
def test_nothing_is_made_where_there_is_no_store(
    terminal: Terminal, command: str
) -> None:
    told = terminal.run(*command.split(), typed="x", code=2).stderr
    hint = "run `watchword serve` first, or give --data or --database-url"
    assert told == f"watchword: no data folder at {terminal.data}: {hint}\n"
    assert not terminal.data.exists()
    terminal.data.mkdir()
    told = terminal.run(*command.split(), typed="x", code=2).stderr
    assert told.startswith("watchword: no database at ")
    assert not list(terminal.data.iterdir())


def test_every_wrong_setting_is_named_at_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("ACCESS_TTL", "2 weeks"), ("PORT", "x"), ("SEKRET", "y")):
        monkeypatch.setenv(f"WATCHWORD_{name}", value)
    lines = terminal.run("user", "list", code=2).stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("watchword: WATCHWORD_") for line in lines)
    for line in terminal.run("user", "list", "--json", code=2).stderr.splitlines():
        assert json.loads(line)["code"] == "settings_invalid"
    assert len(terminal.run("check", code=1).stderr.splitlines()) == 3
    assert len(terminal.json("check", code=1)["faults"]) == 3


@pytest.mark.parametrize(
    ("command", "typed", "code", "error"),
    [
        ("user disable nobody", "", 1, "not_found"),
        ("user passwd nobody --password-stdin", PASSWORD, 1, "not_found"),
        ("user add alice --password-stdin", PASSWORD, 1, "name_taken"),
        ("user add bob --password-stdin", "short", 1, "password_rejected"),
        ("user add bob --password-stdin", b"\xff" * 20, 1, "error"),
        ("user add bo\x07b --password-stdin", PASSWORD, 1, "invalid_request"),
        ("user add bob --role a\\b --password-stdin", PASSWORD, 1, "invalid_request"),
        ("sessions revoke not-an-id", "", 1, "invalid_request"),
        ("keys retire nothing", "", 1, "not_found"),
    ],
)
def test_an_error_is_one_line_or_one_object(
    terminal: Terminal, command: str, typed: str | bytes, code: int, error: str
) -> None:
    terminal.add("alice")
    words = command.split(" ")
    plain = terminal.run(*words, typed=typed, code=code).stderr
    assert plain.startswith("watchword: ")
    assert len(plain.splitlines()) == 1
    told = json.loads(terminal.run(*words, "--json", typed=typed, code=code).stderr)
    assert set(told) == {"code", "message"}
    assert told["code"] == error


def test_without_a_terminal_a_password_has_to_be_piped_in(terminal: Terminal) -> None:
    told = terminal.run("user", "add", "alice", code=2).stderr
    assert "--password-stdin" in told
    assert not terminal.data.exists()


def test_a_lost_secret_is_told_and_not_replaced(terminal: Terminal) -> None:
    terminal.add("alice")
    secret = terminal.data / "secret"
    kept = secret.read_text()
    secret.unlink()
    for command in (["user", "list"], ["user", "add", "bob", "--password-stdin"]):
        told = terminal.run(*command, typed=PASSWORD, code=2).stderr
        assert "give WATCHWORD_SECRET" in told
    assert "WATCHWORD_SECRET" in terminal.run("check", code=1).stderr
    assert not secret.exists()
    secret.write_text(kept)
    secret.chmod(0o600)
    terminal.run("check")


def test_a_check_makes_nothing(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = terminal.run("check", code=1).stderr
    assert told == f"watchword: --data {terminal.data}: there is no such folder\n"
    assert not terminal.data.exists()
    monkeypatch.setenv("WATCHWORD_DATA", str(terminal.data))
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 0
    assert done.stdout == (
        f"Nothing is wrong. There is no store at {terminal.data}/watchword.db yet: "
        "`watchword serve` makes it.\n"
    )
    assert not terminal.data.exists()
    monkeypatch.delenv("WATCHWORD_DATA")
    file = tmp_path / "file"
    file.touch()
    assert "Not a directory" in Terminal(file).run("check", code=1).stderr
    monkeypatch.setenv("WATCHWORD_DATABASE_URL", f"sqlite:///{file}/below/it.db")
    assert "cannot be written" in terminal.run("check", code=1).stderr


def test_a_secret_that_others_may_change_is_not_believed(terminal: Terminal) -> None:
    """Neither by `check` nor by any command; one that they may read is told."""
    terminal.add("alice")
    secret = terminal.data / "secret"
    secret.chmod(0o644)
    told = terminal.run("check")
    assert told.stderr == f"Warning: {secret}: everyone on this machine may read it\n"
    assert told.stdout == "Nothing else is wrong.\n"
    (warning,) = terminal.json("check")["warnings"]
    assert warning in told.stderr
    secret.chmod(0o600)
    terminal.data.chmod(0o777)
    for command, code in (("check", 1), ("serve", 2), ("user list", 2)):
        told = terminal.run(*command.split(), code=code)
        assert "data: everyone on this machine may write it" in told.stderr


@pytest.mark.parametrize("name", ["secret", "watchword.db"])
def test_a_file_that_everyone_may_read_is_told(terminal: Terminal, name: str) -> None:
    terminal.add("alice")
    path = terminal.data / name
    path.chmod(0o644)
    told = terminal.run("check")
    assert told.stderr == f"Warning: {path}: everyone on this machine may read it\n"
    assert told.stdout == "Nothing else is wrong.\n"
    path.chmod(0o604)
    assert len(terminal.json("check")["warnings"]) == 1
    path.chmod(0o600)
    assert terminal.json("check") == {"faults": [], "warnings": []}


def test_a_session_that_is_not_known_is_told(terminal: Terminal) -> None:
    terminal.add("alice")
    unknown = "01234567-89ab-7cde-8f01-23456789abcd"
    told = terminal.run("sessions", "revoke", unknown, code=1).stderr
    assert told == "watchword: There is no session of that id.\n"


def test_a_store_of_an_app_is_found_by_its_url_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `Auth("sqlite:///app.db")` made: the secret is beside the database."""
    monkeypatch.chdir(tmp_path)
    auth = Auth("sqlite:///app.db")

    async def run() -> None:
        async with auth.lifespan(None):
            await auth.register("alice", PASSWORD)

    asyncio.run(run())
    assert (tmp_path / "secret").exists()
    listing = ["user", "list", "--json"]
    by_flag = ["--database-url", "sqlite:///app.db"]
    for words, url in ((by_flag, ""), ([], "sqlite:///app.db")):
        monkeypatch.setenv("WATCHWORD_DATABASE_URL", url)
        done = CliRunner().invoke(main, [*listing, *words])
        assert done.exit_code == 0, done.output
        assert [row["name"] for row in json.loads(done.stdout)] == ["alice"]
        assert CliRunner().invoke(main, ["check", *words]).exit_code == 0
    assert not (tmp_path / "watchword-data").exists()


def test_a_new_store_is_made_where_an_app_will_look_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    adding = ["user", "add", "bob", "--password-stdin"]
    words = [*adding, "--database-url", "sqlite:///here/app.db"]
    assert CliRunner().invoke(main, words, input=PASSWORD).exit_code == 0
    assert {path.name for path in (tmp_path / "here").iterdir()} >= {"app.db", "secret"}


def test_memory_is_no_store_of_a_command(terminal: Terminal) -> None:
    told = terminal.run("user", "list", "--database-url", "memory:", code=2).stderr
    assert told == "watchword: --database-url: memory: is for tests alone\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\ufeff", ""])
def test_a_piped_password_has_no_unseen_ends(terminal: Terminal, end: str) -> None:
    typed = f"\ufeff{PASSWORD}{end}"
    terminal.run("user", "add", "alice", "--password-stdin", typed=typed)

    async def sign_in(watchword: Watchword) -> None:
        await watchword.sign_in.check_password("alice", PASSWORD)

    terminal.engine(sign_in)
    for blank in (f" {PASSWORD}\n", f"{PASSWORD}\t \n"):
        words = ["user", "passwd", "alice", "--password-stdin"]
        told = terminal.run(*words, typed=blank, code=1).stderr
        assert told == "watchword: A password must not begin or end with a blank.\n"


def test_a_check_opens_what_the_settings_name(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.add("alice")
    terminal.run("check")
    monkeypatch.setenv("WATCHWORD_SECRET", "s" * 40)
    for name in ("cert", "key"):
        (tmp_path / name).write_text("-----BEGIN NOTHING-----\n")
        monkeypatch.setenv(f"WATCHWORD_TLS_{name.upper()}", str(tmp_path / name))
    tls, store = terminal.json("check", code=1)["faults"]
    assert "certificate in PEM" in tls
    assert "cannot be unsealed" in store


def test_a_store_that_is_no_database_is_told_in_a_line(terminal: Terminal) -> None:
    terminal.add("alice")
    for path in terminal.data.glob("watchword.db*"):
        path.unlink()
    (terminal.data / "watchword.db").write_bytes(b"not a database, but long" * 99)
    for command in ("user list", "migrate", "migrate --check", "check"):
        told = terminal.run(*command.split(), code=1).stderr
        assert told.startswith("watchword: cannot open "), command


def test_a_schema_that_is_pending_or_altered_is_told(terminal: Terminal) -> None:
    import apsw  # noqa: PLC0415 - only here

    terminal.add("alice")
    assert terminal.run("migrate").stdout == "Nothing is pending.\n"
    assert terminal.json("migrate", "--check") == {"pending": []}
    connection = apsw.Connection(str(terminal.data / "watchword.db"))
    connection.execute("UPDATE schema_migrations SET checksum = 'x'")
    connection.close()
    for command in (["migrate", "--check"], ["migrate"], ["check"]):
        assert "was altered" in terminal.run(*command, code=1).stderr


def test_a_new_database_has_everything_pending_until_it_is_migrated(
    terminal: Terminal,
) -> None:
    terminal.add("alice")
    for path in terminal.data.glob("watchword.db*"):
        path.unlink()
    (terminal.data / "watchword.db").touch(mode=0o600)
    names = terminal.json("migrate", "--plan")["pending"]
    assert names[0] == "0001_foundation.sql"
    assert terminal.json("migrate", "--check", code=1) == {"pending": names}
    terminal.run("check")
    assert terminal.json("migrate", "--plan")["pending"] == names
    assert terminal.json("migrate") == {"applied": names}
    assert terminal.json("migrate", "--check") == {"pending": []}


def test_the_document_of_the_api_is_printed_without_a_store(terminal: Terminal) -> None:
    assert "/api/auth/login" in terminal.json("openapi")["paths"]
    assert not terminal.data.exists()


def test_every_command_has_data_and_json() -> None:
    """But for those of a user: what they keep is a session, and in a file."""
    for name, command in _leaves():
        taken = {option for one in command.params for option in one.opts}
        place = "--file" if name in {"login", "token", "logout"} else "--data"
        assert {place, "--json"} <= taken, name
        help_of = CliRunner().invoke(main, [*name.split(), "--help"])
        assert help_of.exit_code == 0
        assert "Usage:" in help_of.stdout


def _leaves() -> Iterator[tuple[str, Command]]:
    for name, command in main.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        for second, leaf in (inner or {}).items():
            yield f"{name} {second}", leaf
