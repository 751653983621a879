"""Every store that the tests know: a new one joins with one line here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.servers.postgresql import postgresql
from tests.servers.redis import cluster, single
from watchword.testing.store_contract import Backend


def _file(folder: Path) -> str:
    return f"sqlite:///{folder}/watchword.db"


STORES: Final = {
    "memory": Backend(lambda folder: "memory:", persists=False),
    "sqlite": Backend(_file),
    "postgresql-16": Backend(lambda folder: postgresql("16").database_of(folder)),
    "redis-6": Backend(_file, sessions=lambda folder: single("redis-6").url()),
    "valkey-9": Backend(_file, sessions=lambda folder: single("valkey-9").url()),
    "cluster": Backend(_file, sessions=lambda folder: cluster().url()),
}
