"""Every store that the tests know: a new one joins with one line here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.servers.postgresql import postgresql, programs
from tests.servers.redis import cluster, single
from watchword.testing.store_contract import Backend


def _database(name: str) -> Backend:
    return Backend(lambda folder: postgresql(name).database_of(folder))


def _file(folder: Path) -> str:
    return f"sqlite:///{folder}/watchword.db"


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
