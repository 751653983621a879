"""Every store keeps the page of `ports.py`."""

from __future__ import annotations

import pytest

from tests.servers.stores import STORES
from watchword.testing.store_contract import DurabilityContract, StoreContract

LASTING = {name: backend for name, backend in STORES.items() if backend.persists}


@pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
class TestContract(StoreContract):
    """Every store."""


@pytest.mark.parametrize("backend", LASTING.values(), ids=LASTING)
class TestDurability(DurabilityContract):
    """Every store that outlives its process."""
