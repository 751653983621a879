from __future__ import annotations

import pytest

from tests.servers.postgresql import postgresql
from watchword.testing.store_contract import Backend
from watchword.testing.store_contract.parallel import Parallel

LEVELS = ("repeatable read", "serializable")

def _backend(level: str) -> Backend:
    return Backend(lambda folder: postgresql().new_database(default_transaction_isolation=level))

@pytest.mark.parametrize("backend", [_backend(level) for level in LEVELS], ids=LEVELS)
class TestIsolation(Parallel):
    """x"""
