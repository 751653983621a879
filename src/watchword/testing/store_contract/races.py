"""Contract: of callers that race for one address, token or message, one is first."""

# ruff: noqa: S101 - a test suite: assertions over literal expectations

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec
import pytest

from watchword.core.limits import MINUTE
from watchword.errors import ConfirmationInvalid, EmailTaken, LastAdmin
from watchword.ports import Stores
from watchword.ports.audit import EventType, Trail
from watchword.ports.outbox import LeasedMessage, MessageKind
from watchword.ports.registrations import Registration
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import (
    a_confirmation,
    a_message,
    a_registration,
    a_trail,
    an_account,
    with_address,
)

CALLERS: Final = 4
SHARE: Final = 5
_CREATED: Final = a_trail(EventType.ACCOUNT_CREATED)
_CHANGED: Final = a_trail(EventType.ACCOUNT_CHANGED)


async def _left(stores: Stores, rows: list[Registration]) -> int:
    """How many of them the store still has."""
    found = [await stores.registrations.by_id(row.id_hash) for row in rows]
    return sum(row is not None for row in found)


async def leased(stores: Stores, limit: int) -> list[LeasedMessage]:
    """What a sender of mail gets."""
    until = START + MINUTE
    return await stores.outbox.lease(MessageKind.MAIL, START, until, limit)


class Races(OnAStore):
    """Each caller has a store, a thread and a loop of its own."""

    async def test_one_of_many_confirms_a_registration(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of twenty that spend a token at once one gets an account."""
        row = a_registration()
        await stores.registrations.add(row, Trail())

        def confirm(caller: int) -> Job[list[bool]]:
            async def job(stores: Stores) -> list[bool]:
                numbers = range(caller * SHARE, (caller + 1) * SHARE)
                return await asyncio.gather(
                    *(_confirmed(stores, row, number) for number in numbers)
                )

            return job

        won = await crowd.run([confirm(caller) for caller in range(CALLERS)])
        assert sum(map(sum, won)) == 1
        assert len(await stores.accounts.list(limit=99)) == 1
        assert await stores.audit.last() == 1

    async def test_one_of_two_registrations_gets_the_address(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Two that were asked for by two networks race: one account, one refusal."""
        rows = [
            a_registration(number, network=f"n{number}") for number in range(CALLERS)
        ]
        for row in rows:
            await stores.registrations.add(row, Trail())

        def confirm(number: int) -> Job[bool]:
            return lambda stores: _confirmed(stores, rows[number], number)

        won = await crowd.run([confirm(number) for number in range(CALLERS)])
        assert sum(won) == 1
        assert len(await stores.accounts.list(limit=99)) == 1
        assert await _left(stores, rows) == 0

    async def test_one_of_many_gets_the_address(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of several accounts that change to one address at once, one has it."""
        accounts = [
            with_address(an_account(f"user{number}", number), f"{number}@example.org")
            for number in range(CALLERS)
        ]
        for row in accounts:
            await stores.accounts.add(row, _CREATED)

        def change(number: int) -> Job[bool]:
            async def job(stores: Stores) -> bool:
                row = accounts[number]
                try:
                    return await stores.accounts.swap(row, with_address(row), _CHANGED)
                except EmailTaken:
                    return False

            return job

        won = await crowd.run([change(number) for number in range(CALLERS)])
        assert sum(won) == 1
        found = await stores.accounts.by_email("ada@example.org")
        assert found is not None
        assert found.id == accounts[won.index(True)].id

    async def test_one_of_many_uses_a_reset(self, stores: Stores, crowd: Crowd) -> None:
        """Three links for one password, used at once: one of them sets it."""
        account = an_account()
        await stores.accounts.add(account, _CREATED)
        resets = [a_confirmation(number) for number in range(3)]
        for row in resets:
            await stores.confirmations.add(row, Trail())

        def reset(number: int) -> Job[bool]:
            async def job(stores: Stores) -> bool:
                token = resets[number].token_hash
                while (before := await stores.accounts.by_id(account.id)) is not None:
                    after = msgspec.structs.replace(
                        before, epoch=before.epoch + 1, version=before.version + 1
                    )
                    try:
                        if await stores.accounts.swap(
                            before, after, _CHANGED, spends=token
                        ):
                            return True
                    except ConfirmationInvalid:
                        break
                return False

            return job

        won = await crowd.run([reset(number) for number in range(3)])
        assert sum(won) == 1
        found = await stores.accounts.by_id(account.id)
        assert found is not None
        assert found.epoch == 1

    async def test_one_of_a_role_stays(self, stores: Stores, crowd: Crowd) -> None:
        """Of accounts that all give up a role at once, deleted or disabled, one stays.

        A reader may go, and one that is disabled counts for nothing.
        """
        accounts = [
            an_account(f"user{number}", number, roles=("reader", "admin"))
            for number in range(CALLERS)
        ]
        others = [
            an_account("reader", 8),
            an_account("disabled", 9, roles=("admin",), disabled=True),
        ]
        for row in (*accounts, *others):
            await stores.accounts.add(row, _CREATED)

        def give_up(number: int) -> Job[bool]:
            async def job(stores: Stores) -> bool:
                row = accounts[number]
                after = msgspec.structs.replace(row, version=1, disabled=True)
                with contextlib.suppress(LastAdmin):
                    return await stores.accounts.swap(
                        row, after if number % 2 else None, _CHANGED, keeps_role="admin"
                    )
                return False

            return job

        won = await crowd.run([give_up(number) for number in range(CALLERS)])
        assert sum(won) == CALLERS - 1
        last = accounts[won.index(False)]
        assert await stores.accounts.by_id(last.id) == last
        with pytest.raises(LastAdmin):
            await stores.accounts.swap(last, None, _CHANGED, keeps_role="admin")
        stale = msgspec.structs.replace(last, version=5)
        assert not await stores.accounts.swap(stale, None, _CHANGED, keeps_role="admin")

    async def test_message_is_leased_by_one_sender(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Of senders that ask at once each gets other messages."""
        rows = [a_message(number) for number in range(40)]
        await stores.outbox.add(rows)

        async def sender(stores: Stores) -> list[bytes]:
            got: list[bytes] = []
            while step := await leased(stores, 3):
                got += [one.message.id for one in step]
            return got

        got = await crowd.run([sender] * 4)
        # A sender that met another one at the same rows got none and gave up early.
        rest = await leased(stores, 40)
        ids = [*(one for share in got for one in share), *(r.message.id for r in rest)]
        assert sorted(ids) == [row.id for row in rows]


async def _confirmed(stores: Stores, row: Registration, number: int) -> bool:
    """Whether this call made an account of that registration."""
    account = with_address(an_account(f"user{number}", number))
    try:
        await stores.accounts.add(account, _CREATED, spends=row.token_hash)
    except ConfirmationInvalid:
        return False
    return True
