"""Every store keeps the page of `ports.py`. A new store joins with one line here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.postgresql import postgresql
from tests.servers.redis import cluster, single
from watchword.testing.store_contract import (
    Backend,
    DurabilityContract,
    StoreContract,
)


def _file(folder: Path) -> str:
    return f"sqlite:///{folder}/watchword.db"


STORES = {
    "memory": Backend(lambda folder: "memory:", persists=False),
    "sqlite": Backend(_file),
    "postgresql-16": Backend(lambda folder: postgresql("16").new_database()),
    "redis-6": Backend(_file, sessions=lambda folder: single("redis-6").url()),
    "valkey-9": Backend(_file, sessions=lambda folder: single("valkey-9").url()),
    "cluster": Backend(_file, sessions=lambda folder: cluster().url()),
}
LASTING = {name: backend for name, backend in STORES.items() if backend.persists}


@pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
class TestContract(StoreContract):
    """Every store."""


@pytest.mark.parametrize("backend", LASTING.values(), ids=LASTING)
class TestDurability(DurabilityContract):
    """Every store that outlives its process."""
