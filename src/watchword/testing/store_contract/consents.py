"""Contract: what users have allowed clients to have.

Each test is one promise of `ports.ConsentStore`.
"""

# ruff: noqa: S101 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import (
    a_consent,
    a_trail,
    an_account,
    an_event,
)

_GONE: Final = a_trail(EventType.ACCOUNT_DELETED)
GIVEN: Final = an_event(EventType.CONSENT_GIVEN)
WITHDRAWN: Final = an_event(EventType.CONSENT_WITHDRAWN)
ACCOUNTS: Final = 40


class Consents(OnAStore):
    """One row for an account and a client, as long as there is the account."""

    async def test_consent_is_put_in_place_of_an_older_one(
        self, stores: Stores
    ) -> None:
        """It comes back as it was put; an event is recorded where there is one.

        A use changes its instant alone, and only where the row is there.
        """
        ada, bob = an_account(), an_account("bob", 2)
        for account in (ada, bob):
            await stores.accounts.add(account, Trail())
        app, bare = a_consent("app"), a_consent("wiki", scope=(), resource=())
        assert await stores.consents.put(bare, None)
        assert await stores.consents.put(app, GIVEN)
        assert await stores.consents.put(a_consent("app", account=2), None)
        assert await stores.consents.of_account(ada.id) == [app, bare]
        wider = msgspec.structs.replace(
            app, scope=("openid",), created_at=START + 1, used_at=START + 2
        )
        assert await stores.consents.put(wider, None)
        assert await stores.consents.load(ada.id, "app") == wider
        for at in (START + 4, START + 3):  # the later one stays
            await stores.consents.used(ada.id, "app", at)
        used = msgspec.structs.replace(wider, used_at=START + 4)
        assert await stores.consents.load(ada.id, "app") == used
        (others,) = await stores.consents.of_account(bob.id)
        assert others.used_at == a_consent("app").used_at
        assert await stores.consents.load(bob.id, "wiki") is None
        assert await stores.audit.read(0, 9) == [(1, GIVEN)]
        assert await stores.consents.drop(ada.id, "app", WITHDRAWN)
        assert not await stores.consents.drop(ada.id, "app", WITHDRAWN)
        await stores.consents.used(ada.id, "app", START + 5)  # nothing comes back
        assert await stores.consents.load(ada.id, "app") is None
        assert await stores.consents.of_account(ada.id) == [bare]
        assert len(await stores.consents.of_account(bob.id)) == 1
        assert await stores.audit.read(1, 9) == [(2, WITHDRAWN)]

    async def test_consents_go_with_their_account(self, stores: Stores) -> None:
        """And none is put where there is no account any more."""
        ada, bob = an_account(), an_account("bob", 2)
        for number, account in enumerate((ada, bob), 1):
            await stores.accounts.add(account, Trail())
            await stores.consents.put(a_consent("app", account=number), None)
        later = msgspec.structs.replace(ada, version=1)
        assert await stores.accounts.swap(ada, later, Trail())
        assert not await stores.accounts.swap(ada, None, _GONE)
        assert len(await stores.consents.of_account(ada.id)) == 1
        assert await stores.accounts.swap(later, None, _GONE)
        assert await stores.consents.of_account(ada.id) == []
        assert not await stores.consents.put(a_consent("app"), GIVEN)
        assert await stores.consents.of_account(ada.id) == []
        assert len(await stores.consents.of_account(bob.id)) == 1
        assert await stores.audit.last() == 1  # of the deletion

    async def test_no_consent_stays_for_a_deleted_account(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """However puts and deletions interleave; of puts at once one row is left."""
        accounts = [an_account(f"user{n}", n) for n in range(ACCOUNTS)]
        for account in accounts:
            await stores.accounts.add(account, Trail())

        def giver(name: int) -> Job[None]:
            async def job(stores: Stores) -> None:
                for number in range(ACCOUNTS):
                    consent = a_consent("app", account=number, used_at=START + name)
                    await stores.consents.put(consent, None)

            return job

        async def deleter(stores: Stores) -> None:
            await asyncio.gather(
                *(stores.accounts.swap(one, None, _GONE) for one in accounts[1:])
            )

        await crowd.run([giver(1), giver(2), deleter])
        left = [len(await stores.consents.of_account(one.id)) for one in accounts]
        assert left == [1] + [0] * (ACCOUNTS - 1)
