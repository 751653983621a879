"""The promises of `ports/` as a test suite: the engine relies on each of them.

A store joins with one line in a table. In a test file of a repository of its own:

    stores.STORES["mine"] = ("mine.store", "", "mine:///.+")
    STORES = {"mine": Backend(lambda folder: f"mine:///{folder}/db")}

    @pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
    class TestContract(StoreContract): ...

    @pytest.mark.parametrize("backend", STORES.values(), ids=STORES)
    class TestDurability(DurabilityContract): ...

The URL is opened by `watchword.stores.open_stores`. A store that forgets all when it is
closed has `persists=False`, and no `TestDurability`. The tests are coroutines: they
need pytest-asyncio in its `auto` mode. Several threads, each with an event loop, and
processes that are killed open the same URL at the same time.
"""

from __future__ import annotations

from watchword.extras import needs

with needs("watchword[store-contract]"):
    import pytest

_GROUPS = (
    *("account_rules", "addresses", "credential_races", "credential_rules"),
    *(
        "consents",
        "credentials",
        "differential",
        "durability",
        "ends",
        "examples",
        "feed",
        "figures",
        "groups",
        "lists",
        "parallel",
        "races",
    ),
    *("record_rules", "records", "reference", "searches", "self_service"),
    *("sessions", "upkeep", "waiting", "webhooks"),
)
pytest.register_assert_rewrite(*(f"{__name__}.{group}" for group in _GROUPS))

# Imported only here, after pytest was told to rewrite the assertions of these modules:
# it cannot do that for a module that has been imported already.
with needs("watchword[store-contract]"):
    from watchword.testing.store_contract.addresses import Addresses
    from watchword.testing.store_contract.backend import Backend
    from watchword.testing.store_contract.consents import Consents
    from watchword.testing.store_contract.credential_races import CredentialRaces
    from watchword.testing.store_contract.credentials import Credentials
    from watchword.testing.store_contract.durability import DurabilityContract
    from watchword.testing.store_contract.ends import Ends
    from watchword.testing.store_contract.feed import FeedOfTheEnded
    from watchword.testing.store_contract.figures import Figures
    from watchword.testing.store_contract.groups import Groups
    from watchword.testing.store_contract.lists import Lists
    from watchword.testing.store_contract.parallel import Parallel
    from watchword.testing.store_contract.races import Races
    from watchword.testing.store_contract.records import Records
    from watchword.testing.store_contract.reference import Reference
    from watchword.testing.store_contract.searches import Searches
    from watchword.testing.store_contract.self_service import SelfService
    from watchword.testing.store_contract.sessions import Sessions
    from watchword.testing.store_contract.upkeep import Upkeep
    from watchword.testing.store_contract.waiting import OutboxOfMessages
    from watchword.testing.store_contract.webhooks import Webhooks

__all__ = ["Backend", "DurabilityContract", "StoreContract"]


class StoreContract(
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
    Searches,
    Figures,
    OutboxOfMessages,
    Webhooks,
    FeedOfTheEnded,
    Parallel,
    Races,
    Reference,
):
    """The tests for every store. Subclass it as `Test…`, parametrised by `backend`."""
