"""Every store keeps the pages of `ports/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.servers.stores import FURTHER, STORES
from watchword import stores
from watchword.testing.store_contract import Backend, DurabilityContract, StoreContract
from watchword.testing.store_contract.addresses import Addresses
from watchword.testing.store_contract.consents import Consents
from watchword.testing.store_contract.credential_races import CredentialRaces
from watchword.testing.store_contract.credentials import Credentials
from watchword.testing.store_contract.ends import Ends
from watchword.testing.store_contract.feed import FeedOfTheEnded
from watchword.testing.store_contract.groups import Groups
from watchword.testing.store_contract.lists import Lists
from watchword.testing.store_contract.parallel import Parallel
from watchword.testing.store_contract.races import Races
from watchword.testing.store_contract.records import Records
from watchword.testing.store_contract.reference import Reference
from watchword.testing.store_contract.self_service import SelfService
from watchword.testing.store_contract.sessions import Sessions
from watchword.testing.store_contract.upkeep import Upkeep
from watchword.testing.store_contract.waiting import OutboxOfMessages

FEW: Final = 8
"""Random histories a run; more are told in the slow tests."""

WHOLE = {
    name: msgspec.structs.replace(backend, histories=FEW)
    for name, backend in STORES.items()
    if name not in FURTHER
}
LASTING = {name: backend for name, backend in WHOLE.items() if backend.persists}


@pytest.mark.parametrize("backend", WHOLE.values(), ids=WHOLE)
class TestContract(StoreContract):
    """Every store, over one version of its server."""


@pytest.mark.parametrize("backend", LASTING.values(), ids=LASTING)
class TestDurability(DurabilityContract):
    """Every store that outlives its process."""


async def test_a_store_of_another_repository_is_killed_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child process knows the row that the tests of that repository added."""
    row = ("tests.stores.elsewhere", "", "elsewhere:///.+")
    monkeypatch.setitem(stores.STORES, "elsewhere", row)
    place = Backend(lambda folder: f"elsewhere:///{folder}/db").place(tmp_path)
    await DurabilityContract().test_kill_loses_nothing_acknowledged(place, 3)


@pytest.mark.slow
@pytest.mark.parametrize("backend", FURTHER.values(), ids=FURTHER)
class TestFurtherVersions(
    Sessions,
    Lists,
    Ends,
    Groups,
    Upkeep,
    Records,
    Addresses,
    SelfService,
    Credentials,
    CredentialRaces,
    Consents,
    OutboxOfMessages,
    FeedOfTheEnded,
    Parallel,
    Races,
    DurabilityContract,
):
    """The same statements and scripts as on the first, with the same answers."""


@pytest.mark.slow
@pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
class TestManyHistories(Reference):
    """On every version of every server, as many as the contract has by itself."""
