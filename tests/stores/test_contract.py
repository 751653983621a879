"""Every store keeps the page of `ports.py`. A new store joins with one line here."""

from __future__ import annotations

import pytest

from watchword.testing.store_contract import (
    Backend,
    DurabilityContract,
    StoreContract,
)

STORES = {
    "memory": Backend(lambda folder: "memory:", persists=False),
    "sqlite": Backend(lambda folder: f"sqlite:///{folder}/watchword.db"),
}
LASTING = {name: backend for name, backend in STORES.items() if backend.persists}


@pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
class TestContract(StoreContract):
    """Every store."""


@pytest.mark.parametrize("backend", LASTING.values(), ids=LASTING)
class TestDurability(DurabilityContract):
    """Every store that outlives its process."""
