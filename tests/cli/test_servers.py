"""The commands over stores that are servers: PostgreSQL, and Redis beside it.

What is missing is a sentence that says what to do, and no password is ever in one.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.terminal import PASSWORD, Terminal
from tests.servers.postgresql import postgresql
from tests.servers.process import free_port
from tests.servers.redis import single
from watchword.bootstrap import open_watchword
from watchword.config import load_settings
from watchword.core.session import Authenticated, SessionOptions, TokenSet
from watchword.errors import SettingsError
from watchword.first_start import prepare
from watchword.ports.keys import SealedKey
from watchword.secret_files import ADMIN_PASSWORD_FILE
from watchword.stores import open_stores
from watchword.testing import SeededEntropy

SECRET = "the-secret-of-all-servers-0123456789abcdef"
HIDDEN = "pass-of-the-database"

EVERY = [
    "user list",
    "user add bob --password-stdin",
    "user import -",
    "sessions list",
    "sessions revoke --all",
    "clients list",
    "keys list",
    "audit",
    "inspect",
    "serve",
]


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Any:
    def setenv(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"WATCHWORD_{name}", value)

    return setenv


def one_line(terminal: Terminal, command: str, code: int = 1) -> str:
    """What a command says that cannot do its work; `check` says the same."""
    told = terminal.run(*command.split(), typed=PASSWORD, code=code).stderr
    assert told.startswith("watchword: "), command
    assert len(told.splitlines()) == 1, told
    assert HIDDEN not in told
    return told


@pytest.mark.parametrize("command", [*EVERY, "migrate", "migrate --check", "check"])
def test_a_database_that_is_away_is_one_line_without_its_password(
    terminal: Terminal, env: Any, command: str
) -> None:
    url = f"postgresql://watchword:{HIDDEN}@127.0.0.1:{free_port()}/watchword"
    env(DATABASE_URL=url, SECRET=SECRET)
    one_line(terminal, command)
    assert not terminal.data.exists()


@pytest.mark.parametrize("command", [*EVERY, "check"])
def test_so_is_a_store_of_sessions(terminal: Terminal, env: Any, command: str) -> None:
    env(SECRET=SECRET)
    terminal.add("alice")
    env(SESSION_STORE_URL=f"redis://watchword:{HIDDEN}@127.0.0.1:{free_port()}/0")
    one_line(terminal, command)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@127.0.0.1:port/name"),
        ("DATABASE_URL", f"postgresql://u:{HIDDEN}@127.0.0.1/name?sslmode={HIDDEN}"),
        ("SESSION_STORE_URL", f"redis://u:{HIDDEN}@127.0.0.1:port/0"),
    ],
)
def test_a_url_that_is_none_is_one_line_too(
    terminal: Terminal, env: Any, name: str, url: str
) -> None:
    env(SECRET=SECRET)
    terminal.add("alice")
    env(**{name: url})
    one_line(terminal, "check")
    one_line(terminal, "serve", code=2)


def test_a_database_without_a_schema_wants_to_be_migrated(
    terminal: Terminal, env: Any
) -> None:
    env(DATABASE_URL=postgresql().new_database(migrated=False))
    names = terminal.json("migrate", "--plan")["pending"]
    assert names[0].startswith("0001_")
    assert terminal.json("migrate", "--check", code=1) == {"pending": names}
    told = one_line(terminal, "check")
    assert names[0] in told
    assert "run `watchword migrate`" in told
    for command in ("serve", "user add bob --password-stdin"):
        assert "watchword migrate" in one_line(terminal, command)
    env(SECRET=SECRET)
    assert "watchword migrate" in one_line(terminal, "user list")
    assert terminal.json("migrate", "--plan")["pending"] == names
    assert terminal.json("migrate") == {"applied": names}
    assert terminal.json("migrate", "--check") == {"pending": []}
    assert terminal.run("check").stdout == "Nothing is wrong.\n"
    assert not terminal.data.exists()


def database(name: str, options: str) -> str:
    server = postgresql()
    server.execute(f"DROP DATABASE IF EXISTS {name}")
    server.execute(f"CREATE DATABASE {name} {options} TEMPLATE template0")
    return server.url(name)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_store_every_name_is_refused(
    terminal: Terminal, env: Any, encoding: str
) -> None:
    url = database(
        f"of_{encoding.lower()}",
        f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    env(DATABASE_URL=url, SECRET=SECRET)
    for command, code in (("migrate", 2), ("check", 1), ("serve --port 0", 2)):
        told = one_line(terminal, command, code)
        assert f"the database is encoded as {encoding}" in told
        assert "ENCODING 'UTF8'" in told
    assert not terminal.data.exists()


@pytest.mark.parametrize(
    ("parameter", "told"),
    [
        ("channel_binding=require", "sslmode=verify-full keeps others out"),
        ("pool_timeout=5", 'unrecognized configuration parameter "pool_timeout"'),
    ],
)
def test_a_foreign_parameter_of_a_url_is_named(
    terminal: Terminal, env: Any, parameter: str, told: str
) -> None:
    url = postgresql().new_database()
    env(DATABASE_URL=f"{url}{'&' if '?' in url else '?'}{parameter}", SECRET=SECRET)
    for command, code in (("migrate", 2), ("check", 1), ("serve --port 0", 2)):
        line = one_line(terminal, command, code)
        assert parameter.partition("=")[0] in line
        assert told in line
        assert "leave it out" in line


def test_what_the_server_refuses_is_a_sentence(terminal: Terminal, env: Any) -> None:
    server = postgresql()
    empty = server.new_database(migrated=False)
    server.execute("DROP ROLE IF EXISTS poor")
    server.execute("CREATE ROLE poor LOGIN")
    rows = [
        (server.url("nosuch"), "migrate", "there is no such database: create it first"),
        ("postgresql://no.invalid/x", "check", "the name of the host is not known"),
        (f"postgresql://127.0.0.1:{free_port()}/x", "check", "nothing listens there"),
        (empty, "migrate", "the role lacks a right: grant it"),
    ]
    for url, command, expected in rows:
        poor = url if url != empty else _as_role(url, "poor")
        env(DATABASE_URL=poor, SECRET=SECRET)
        assert expected in one_line(terminal, command)


def _as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl()


def test_a_check_makes_neither_keys_nor_a_secret(terminal: Terminal, env: Any) -> None:
    url = postgresql().new_database().replace("postgresql:", "postgres:")
    env(DATABASE_URL=url)
    terminal.run("check")
    assert not terminal.data.exists()

    async def keys() -> Any:
        stores = await open_stores(url, SeededEntropy())
        try:
            return await stores.keys.load()
        finally:
            await stores.backend.close()

    assert asyncio.run(keys()) == (0, [])


@pytest.mark.parametrize("redis", [False, True], ids=["postgresql", "redis beside it"])
def test_every_noun_works(terminal: Terminal, env: Any, *, redis: bool) -> None:
    env(DATABASE_URL=postgresql().new_database(), SECRET=SECRET)
    if redis:
        env(SESSION_STORE_URL=single().url())
    terminal.add("alice", "--role", "writer")
    assert terminal.json("user", "list")[0]["roles"] == ["writer"]
    terminal.run("clients", "add", "shop")
    assert terminal.json("clients", "list")[0]["clientId"] == "shop"
    first = terminal.engine(signing_in)
    (row,) = terminal.json("sessions", "list")
    assert row["user"] == "alice"
    assert terminal.json("inspect", typed=first.refresh_token)["state"] == "live"
    assert terminal.json("sessions", "revoke", row["id"]) == {"revoked": 1}
    found = terminal.json("inspect", typed=first.refresh_token, code=1)
    assert found["state"] == "session_revoked"
    terminal.engine(signing_in)
    assert terminal.json("user", "disable", "alice")["revoked"] == 1
    assert terminal.json("sessions", "list") == []
    states = {row["state"] for row in terminal.json("keys", "list")}
    assert states == {"active", "next"}
    terminal.run("check")
    printed = terminal.run("audit", "--json").stdout.splitlines()
    types = [json.loads(line)["type"] for line in printed]
    assert types.count("authn_login_success") == 2
    assert types.count("authn_token_revoked") == 2
    assert not terminal.data.exists()


async def signing_in(watchword: Any) -> TokenSet:
    account = await watchword.accounts.get("alice")
    options = SessionOptions(client_id="first-party")
    alice = Authenticated.by_password(account.id, account.roles, at=watchword.clock())
    tokens: TokenSet = await watchword.sessions.start(alice, options)
    return tokens


def test_a_second_machine_without_the_secret_does_not_make_its_own(
    terminal: Terminal, tmp_path: Path, env: Any
) -> None:
    """On loopback the first one makes it, as with SQLite; the second one is told."""
    env(DATABASE_URL=postgresql().new_database())
    terminal.run("user", "add", "alice", "--password-stdin", typed=PASSWORD)
    kept = (terminal.data / "secret").read_text().strip()
    terminal.run("user", "list")
    second = Terminal(tmp_path / "second")
    for command in EVERY:
        told = one_line(second, command, code=2)
        assert "give WATCHWORD_SECRET" in told
    assert "give WATCHWORD_SECRET" in one_line(second, "check")
    assert not second.data.exists()
    env(SECRET=SECRET)  # one of its own
    for command in EVERY:
        assert "cannot be unsealed" in one_line(second, command)
    env(SECRET=kept)
    second.run("user", "list")
    assert not second.data.exists()


async def test_who_comes_second_leaves_no_secret_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine makes its keys while this one starts."""
    stores = await open_stores("memory:", SeededEntropy())
    async with open_watchword(
        load_settings(data=tmp_path / "first"), stores=stores, background=False
    ):
        pass

    async def none_yet() -> tuple[int, list[SealedKey]]:
        monkeypatch.undo()
        return 0, []

    monkeypatch.setattr(stores.keys, "load", none_yet)
    settings = load_settings(data=tmp_path / "second")
    with pytest.raises(SettingsError, match="give WATCHWORD_SECRET"):
        async with open_watchword(settings, stores=stores, background=False):
            pass
    assert list((tmp_path / "second").iterdir()) == []


def test_who_comes_second_leaves_no_password_behind(
    tmp_path: Path, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines found no account; the password of one of them counts."""
    env(DATABASE_URL=postgresql().new_database(), SECRET=SECRET)
    first, second = (load_settings(data=tmp_path / name) for name in ("one", "two"))
    made = asyncio.run(prepare(first)).admin_password
    assert (first.data / ADMIN_PASSWORD_FILE).read_text().strip() == made

    async def empty(_: Any) -> bool:
        return True

    monkeypatch.setattr("watchword.accounts.registry.Accounts.is_empty", empty)
    for settings in (first, second):
        assert asyncio.run(prepare(settings)).admin_password is None
    assert (first.data / ADMIN_PASSWORD_FILE).exists()
    assert not (second.data / ADMIN_PASSWORD_FILE).exists()
