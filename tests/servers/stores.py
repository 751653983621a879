"""Every store that the tests know: a new one joins with one line here."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Final

import apsw

from tests.servers.postgresql import in_thread, postgresql, programs
from tests.servers.process import scratch
from tests.servers.redis import cluster, single
from watchword.stores import migrate_store
from watchword.testing.store_contract import Backend


def _database(name: str) -> Backend:
    return Backend(lambda folder: postgresql(name).database_of(folder))


@cache
def _migrated() -> Path:
    """An empty database, as migrations leave it."""
    file = scratch() / "empty.db"
    in_thread(lambda: migrate_store(f"sqlite:///{file}", apply=True))
    return file


def _file(folder: Path) -> str:
    """A copy of an empty one: the migrations take longer than most tests of a store."""
    file = folder / "watchword.db"
    if not file.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(_migrated(), file)
        new = apsw.Connection(str(file))
        new.execute("UPDATE store SET incarnation = randomblob(8)")
        new.close()
    return f"sqlite:///{file}"


STORES: Final = {
    "memory": Backend(lambda folder: "memory:", persists=False),
    "sqlite": Backend(_file),
    # Of the wheels, and the machine's where it has one.
    **{f"postgresql-{name}": _database(name) for name in programs()},
    "redis-6": Backend(_file, sessions=lambda folder: single("redis-6").url()),
    "valkey-9": Backend(_file, sessions=lambda folder: single("valkey-9").url()),
    "cluster": Backend(_file, sessions=lambda folder: cluster().url()),
}

FURTHER: Final = {
    name: STORES[name]
    for name in (*(f"postgresql-{one}" for one in programs() if one != "16"), "redis-6")
}
"""Further versions of a server: code of ours that another row runs too."""
