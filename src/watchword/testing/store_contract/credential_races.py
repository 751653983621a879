"""Contract: credentials that many callers use or add at the same moment."""

# ruff: noqa: S101 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from watchword.ports import Stores
from watchword.ports.credentials import Credential
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.credentials import (
    ADDED,
    CODE,
    ENROLMENT,
    PASSKEY,
    REMOVED,
    entered,
    having,
    left,
    moved,
)
from watchword.testing.store_contract.examples import a_credential, living

CALLERS: Final = 5
SHARE: Final = 10


async def won(
    crowd: Crowd, verb: Callable[[Stores, int], Awaitable[bool]]
) -> list[int]:
    """Which of fifty calls at once returned true, by number."""

    def share(caller: int) -> Job[list[bool]]:
        async def job(stores: Stores) -> list[bool]:
            numbers = range(caller * SHARE, (caller + 1) * SHARE)
            return await asyncio.gather(*(verb(stores, one) for one in numbers))

        return job

    shares = await crowd.run([share(caller) for caller in range(CALLERS)])
    made = [one for share in shares for one in share]
    return [number for number, one in enumerate(made) if one]


class CredentialRaces(OnAStore):
    """Of callers at once, as many succeed as the promise says."""

    async def test_one_of_fifty_uses_a_step(self, stores: Stores, crowd: Crowd) -> None:
        """Each saw the same row: one swap is made, with one event."""
        row = a_credential()
        await having(stores, row)
        first = await won(
            crowd,
            lambda stores, number: stores.credentials.swap(
                row, moved(row, step=7, used_at=number), ADDED
            ),
        )
        assert len(first) == 1
        assert await left(stores) == [moved(row, step=7, used_at=first[0])]
        assert await stores.audit.last() == 1

    async def test_one_of_fifty_gets_in_by_a_code(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """One session is made; other codes at the same time make theirs."""
        codes = {number: a_credential(number, CODE) for number in range(0, 50, 2)}
        await having(stores, *codes.values())

        def enter(stores: Stores, number: int) -> Awaitable[bool]:
            return entered(stores, number, codes.get(number, codes[0]))

        first = await won(crowd, enter)
        assert set(codes) - {0} <= set(first)
        assert len(first) == len(codes)
        assert len(await living(stores)) == len(codes)
        assert await left(stores) == []
        assert await stores.audit.last() == 2 * len(codes)

    async def test_one_of_fifty_adds_the_first_factor(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Each of the bounds holds for callers that add at once."""
        token, shared = a_credential(90, ENROLMENT), a_credential(91, PASSKEY)
        await having(stores, token)
        bounds: Sequence[Callable[[int], tuple[Credential, dict[str, Any]]]] = (
            lambda n: (a_credential(n), {"seen": []}),
            lambda n: (a_credential(100 + n, CODE), {"at_most": 1}),
            lambda n: (a_credential(200 + n), {"spends": token}),
            # The key is one of all accounts.
            lambda n: (a_credential(300 + n, PASSKEY, account=n, key=shared.key), {}),
        )
        for count, bound in enumerate(bounds, 1):

            async def add(
                stores: Stores,
                number: int,
                bound: Callable[[int], tuple[Credential, dict[str, Any]]] = bound,
            ) -> bool:
                row, options = bound(number)
                return await stores.credentials.add([row], ADDED, **options)

            assert len(await won(crowd, add)) == 1, count
            assert await stores.audit.last() == count

    async def test_one_factor_of_two_stays(self, stores: Stores, crowd: Crowd) -> None:
        """Two tabs that each remove another one, since one is to stay."""
        rows = [a_credential(1), a_credential(2, PASSKEY)]
        await having(stores, *rows)

        def remove(number: int) -> Job[bool]:
            async def job(stores: Stores) -> bool:
                return await stores.credentials.add(
                    [], REMOVED, spends=rows[number], seen=[row.id for row in rows]
                )

            return job

        removed = await crowd.run([remove(0), remove(1)])
        assert sorted(removed) == [False, True]
        assert len(await left(stores)) == 1
