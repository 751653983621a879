"""Contract: registrations, and confirmations of accounts.

Each test is one promise of these ports.
"""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from watchword.core.limits import DAY, REGISTRATIONS_PER_ADDRESS
from watchword.errors import ConfirmationInvalid, EmailTaken, NameTaken
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import EventType, Trail
from watchword.ports.confirmations import Confirmation, Purpose
from watchword.ports.registrations import Registration
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import Crowd, Job, OnAStore
from watchword.testing.store_contract.examples import (
    a_confirmation,
    a_message,
    a_registration,
    a_trail,
    an_account,
    sweep_up,
    with_address,
)

_CREATED: Final = a_trail(EventType.ACCOUNT_CREATED)
_CHANGED: Final = a_trail(EventType.ACCOUNT_CHANGED)


async def _with_address(stores: Stores, name: str = "ada", number: int = 1) -> Account:
    account = with_address(an_account(name, number), f"{name}@example.org")
    await stores.accounts.add(account, _CREATED)
    return account


async def _left(
    stores: Stores, rows: Sequence[Registration]
) -> Sequence[Registration | None]:
    """Each of them as the store has it."""
    return [await stores.registrations.by_id(row.id_hash) for row in rows]


async def _live(stores: Stores, rows: Sequence[Confirmation]) -> list[Confirmation]:
    """Those that the store still has."""
    found = [await stores.confirmations.by_token(row.token_hash) for row in rows]
    return [row for row in found if row is not None]


class SelfService(OnAStore):
    """What an account has so that its user can do without an operator."""

    async def test_registration_is_found_by_handle_and_by_token(
        self, stores: Stores
    ) -> None:
        """It comes back as it was added, with its event and its message."""
        bare, named = a_registration(1), a_registration(2, name="bob")
        for number, row in enumerate((bare, named)):
            message = a_message(number)
            await stores.registrations.add(
                row, a_trail(EventType.ACCOUNT_CHANGED, message)
            )
            assert await stores.registrations.by_id(row.id_hash) == row
            assert await stores.registrations.by_token(row.token_hash) == row
            waiting = await stores.outbox.get(message.id)
            assert waiting is not None
            assert waiting.message == message
        assert await stores.registrations.by_id(bare.token_hash) is None
        assert await stores.registrations.by_token(bare.id_hash) is None
        assert await stores.audit.last() == 2

    async def test_registration_gets_another_token(self, stores: Stores) -> None:
        """The token of before is void; a registration that is gone gets none."""
        row, other = a_registration(1), a_registration(2)
        await stores.registrations.add(row, Trail())
        assert await stores.registrations.renew(row.id_hash, b"new")
        renewed = msgspec.structs.replace(row, token_hash=b"new")
        assert await stores.registrations.by_token(b"new") == renewed
        assert await stores.registrations.by_token(row.token_hash) is None
        assert not await stores.registrations.renew(other.id_hash, b"other")

    async def test_network_has_one_registration_for_an_address(
        self, stores: Stores
    ) -> None:
        """A second one replaces the first, and no other network's, nor address's."""
        first, second = a_registration(1), a_registration(2)
        others = [
            a_registration(3, network="198.51.100.0"),
            a_registration(4, name="b"),
        ]
        for row in (*others, first, second):
            await stores.registrations.add(row, Trail())
        assert await _left(stores, [first, second, *others]) == [None, second, *others]

    async def test_strangers_do_not_crowd_out_the_owner_of_an_address(
        self, stores: Stores
    ) -> None:
        """The network that has most for any address gives up its own one first."""
        victims = a_registration(0, network="network 0", at=START - DAY)
        await stores.registrations.add(victims, Trail())
        busy = a_registration(2, network="network 2", at=START + 2)
        await stores.registrations.add(
            a_registration(90, name="another", network="network 2"), Trail()
        )
        rows = [
            a_registration(number, network=f"network {number}", at=START + number)
            for number in range(1, REGISTRATIONS_PER_ADDRESS)
        ]
        for row in rows:
            await stores.registrations.add(row, Trail())
        assert None not in await _left(stores, [victims, *rows])
        ninth = a_registration(91, network="network 91", at=START + 91)
        await stores.registrations.add(ninth, Trail())
        left = await _left(stores, [victims, *rows, ninth])
        assert left == [row if row != busy else None for row in (victims, *rows, ninth)]

    async def test_networks_of_one_provider_crowd_out_each_other(
        self, stores: Stores
    ) -> None:
        """A caller with a /48 has thousands of /64; the owner's network is busy."""
        victims = a_registration(0, network="192.0.2.1", at=START - DAY)
        busy = a_registration(90, name="another", network="192.0.2.1")
        rows = [
            a_registration(number, network=f"2001:db8:7:{number}::/64", at=START)
            for number in range(1, REGISTRATIONS_PER_ADDRESS + 9)
        ]
        for row in (busy, victims, *rows):
            await stores.registrations.add(row, Trail())
        left = await _left(stores, [victims, *rows])
        assert left[0] == victims
        assert len([row for row in left if row]) == REGISTRATIONS_PER_ADDRESS

    async def test_of_networks_with_as_many_the_oldest_goes(
        self, stores: Stores
    ) -> None:
        """The ninth registration of an address always finds its place."""
        rows = [
            a_registration(number, network=f"network {number}", at=START + number)
            for number in range(REGISTRATIONS_PER_ADDRESS + 2)
        ]
        for row in rows:
            await stores.registrations.add(row, Trail())
        assert await _left(stores, rows) == [None, None, *rows[2:]]

    async def test_address_has_no_more_registrations_when_many_come_at_once(
        self, stores: Stores, crowd: Crowd
    ) -> None:
        """Callers that race see each other: no more than the bound are left."""
        rows = [
            [
                a_registration(100 * caller + n, network=f"{caller}.{n}")
                for n in range(REGISTRATIONS_PER_ADDRESS)
            ]
            for caller in range(4)
        ]

        def register(caller: int) -> Job[None]:
            async def job(stores: Stores) -> None:
                for row in rows[caller]:
                    await stores.registrations.add(row, Trail())

            return job

        await crowd.run([register(caller) for caller in range(4)])
        left = await _left(stores, [row for share in rows for row in share])
        kept = [row for row in left if row is not None]
        assert len(kept) == REGISTRATIONS_PER_ADDRESS

    async def test_account_spends_its_registration(self, stores: Stores) -> None:
        """All registrations of the address go; a second account gets nothing."""
        chosen, strange = a_registration(1), a_registration(2, network="another")
        other = a_registration(3, name="bob")
        for row in (strange, chosen, other):
            await stores.registrations.add(row, Trail())
        ada = with_address(an_account())
        await stores.accounts.add(ada, _CREATED, spends=chosen.token_hash)
        assert await _left(stores, [chosen, strange, other]) == [None, None, other]
        for spent in (chosen, strange):
            with pytest.raises(ConfirmationInvalid):
                await stores.accounts.add(
                    with_address(an_account("eve", 2), "eve@example.org"),
                    _CREATED,
                    spends=spent.token_hash,
                )
        assert await stores.accounts.list(limit=9) == [ada]
        assert await stores.audit.last() == 1

    async def test_refused_account_leaves_the_registration_unspent(
        self, stores: Stores
    ) -> None:
        """Where the name is taken, another one may be tried with the same token."""
        await stores.accounts.add(an_account("eve", 2), _CREATED)
        row = a_registration()
        await stores.registrations.add(row, Trail())
        with pytest.raises(NameTaken):
            await stores.accounts.add(
                with_address(an_account("eve")), _CREATED, spends=row.token_hash
            )
        assert await _left(stores, [row]) == [row]
        await stores.accounts.add(
            with_address(an_account("ada")), _CREATED, spends=row.token_hash
        )

    async def test_confirmation_is_found_by_token_and_by_account(
        self, stores: Stores
    ) -> None:
        """It comes back as it was added, with its event and its message."""
        rows = [
            a_confirmation(2, Purpose.EMAIL, at=START + 1),
            a_confirmation(1, Purpose.REVERT),
        ]
        invitation = a_confirmation(
            3, Purpose.INVITATION, account=None, roles=("admin", "reader")
        )
        for number, row in enumerate((*rows, invitation)):
            trail = a_trail(EventType.ACCOUNT_CHANGED, a_message(number))
            await stores.confirmations.add(row, trail)
            assert await stores.confirmations.by_token(row.token_hash) == row
        of_account = await stores.confirmations.of_account(an_account().id)
        assert of_account == rows[::-1]
        assert await stores.confirmations.of_account(an_account("", 2).id) == []
        assert await stores.confirmations.by_token(b"unknown") is None
        assert len(await stores.outbox.list(limit=9)) == 3
        assert await stores.audit.last() == 3

    async def test_three_resets_live_and_die_together(self, stores: Stores) -> None:
        """The fourth replaces the oldest; of the others one is used, and all are."""
        account = await _with_address(stores)
        rows = [a_confirmation(number, at=START + number) for number in range(4)]
        change = a_confirmation(9, Purpose.EMAIL)
        others = a_confirmation(8, account=2, at=START - 1)
        for row in (others, change, *rows):
            await stores.confirmations.add(row, Trail())
        assert await _live(stores, rows) == rows[1:]
        after = msgspec.structs.replace(account, version=2)
        token = rows[2].token_hash
        assert await stores.accounts.swap(account, after, _CHANGED, spends=token)
        assert await _live(stores, [*rows, change, others]) == [change, others]
        for row in (*rows, others):
            with pytest.raises(ConfirmationInvalid):
                await stores.accounts.swap(
                    after,
                    msgspec.structs.replace(after, version=3),
                    _CHANGED,
                    spends=row.token_hash,
                )
        assert await stores.accounts.by_id(account.id) == after
        assert await stores.audit.last() == 2

    async def test_new_epoch_voids_all_but_ways_back(self, stores: Stores) -> None:
        """What a thief has asked for with the old password dies with it."""
        account = await _with_address(stores)
        purposes = (Purpose.RESET, Purpose.EMAIL, Purpose.REVERT)
        rows = [a_confirmation(number, kind) for number, kind in enumerate(purposes)]
        others = a_confirmation(8, account=2)
        for row in (*rows, others):
            await stores.confirmations.add(row, Trail())
        after = msgspec.structs.replace(account, version=2, epoch=1)
        granted = a_confirmation(9)
        assert await stores.accounts.swap(account, after, _CHANGED, grants=[granted])
        left = [rows[2], granted, others]
        assert await _live(stores, [*rows, granted, others]) == left

    async def test_stale_change_spends_nothing(self, stores: Stores) -> None:
        """Where the account has changed since it was read, the token stays good."""
        account = await _with_address(stores)
        row = a_confirmation()
        await stores.confirmations.add(row, Trail())
        newer = msgspec.structs.replace(account, version=2)
        assert await stores.accounts.swap(account, newer, Trail())
        assert not await stores.accounts.swap(
            account, newer, _CHANGED, spends=row.token_hash
        )
        assert await _live(stores, [row]) == [row]

    async def test_way_back_is_never_replaced(self, stores: Stores) -> None:
        """From A to B to C: the ways back to A and to B stand, whatever is reset."""
        at_a = await _with_address(stores)
        at_b, ways = await _moved(stores, at_a, "b@example.org", 1)
        at_c, later = await _moved(stores, at_b, "c@example.org", 2)
        reset = a_confirmation(9)
        await stores.confirmations.add(reset, Trail())
        spent = msgspec.structs.replace(at_c, version=at_c.version + 1)
        assert await stores.accounts.swap(
            at_c, spent, _CHANGED, spends=reset.token_hash
        )
        assert await _live(stores, [ways, later]) == [ways, later]
        change = a_confirmation(10, Purpose.EMAIL)
        await stores.confirmations.add(change, Trail())
        # The owner of A takes it back: the way back to B was the thief's.
        home = with_address(spent, "ada@example.org")
        assert await stores.accounts.swap(spent, home, _CHANGED, spends=ways.token_hash)
        assert await _live(stores, [ways, later, change]) == []
        assert await stores.accounts.by_email("ada@example.org") == home

    async def test_later_way_back_takes_no_earlier_one_along(
        self, stores: Stores
    ) -> None:
        """A thief that goes back to B does not close the way to A."""
        at_b, ways = await _moved(
            stores, await _with_address(stores), "b@example.org", 1
        )
        at_c, later = await _moved(stores, at_b, "c@example.org", 2)
        back = with_address(at_c, "b@example.org")
        assert await stores.accounts.swap(at_c, back, _CHANGED, spends=later.token_hash)
        assert await _live(stores, [ways, later]) == [ways]

    async def test_address_with_a_way_back_is_no_other_accounts(
        self, stores: Stores
    ) -> None:
        """Not even an operator gives it away, until the way back is over."""
        _, way = await _moved(stores, await _with_address(stores), "b@example.org", 1)
        other = with_address(an_account("eve", 2))
        for ignore_holds in (False, True):
            with pytest.raises(EmailTaken):
                await stores.accounts.add(other, _CREATED, ignore_holds=ignore_holds)
        await sweep_up(stores, way.until)
        with pytest.raises(EmailTaken):
            await stores.accounts.add(other, _CREATED)
        await stores.accounts.add(other, _CREATED, ignore_holds=True)

    async def test_invitation_makes_an_account_or_gives_roles(
        self, stores: Stores
    ) -> None:
        """An invitation belongs to no account; it is spent by the one that takes it."""
        rows = [
            a_confirmation(number, Purpose.INVITATION, account=None)
            for number in range(2)
        ]
        for row in rows:
            await stores.confirmations.add(row, Trail())
        ada = with_address(an_account())
        await stores.accounts.add(ada, _CREATED, spends=rows[0].token_hash)
        promoted = msgspec.structs.replace(ada, roles=("admin",), version=2)
        assert await stores.accounts.swap(
            ada, promoted, _CHANGED, spends=rows[1].token_hash
        )
        assert await _live(stores, rows) == []

    async def test_what_waits_goes_with_its_account(self, stores: Stores) -> None:
        """Its confirmations and messages are deleted; what is said of it is sent."""
        account = await _with_address(stores)
        own = [a_confirmation(1), a_confirmation(2, Purpose.REVERT)]
        others = a_confirmation(3, account=2)
        for row in (*own, others):
            await stores.confirmations.add(row, Trail())
        lost, kept, farewell = (
            a_message(1, account_id=account.id),
            a_message(2),
            a_message(3),
        )
        await stores.outbox.add([lost, kept])
        gone = a_trail(EventType.ACCOUNT_DELETED, farewell)
        assert await stores.accounts.swap(account, None, gone)
        assert await _live(stores, [*own, others]) == [others]
        waiting = await stores.outbox.list(limit=9)
        assert [one.message for one in waiting] == [kept, farewell]

    async def test_sweep_deletes_what_has_run_out(self, stores: Stores) -> None:
        """Registrations and confirmations are there until `until`, and not longer."""
        registration, confirmation = a_registration(), a_confirmation()
        await stores.registrations.add(registration, Trail())
        await stores.confirmations.add(confirmation, Trail())
        until = registration.until
        assert until == confirmation.until
        await sweep_up(stores, until - 1)
        assert await _left(stores, [registration]) == [registration]
        assert await _live(stores, [confirmation]) == [confirmation]
        assert await sweep_up(stores, until) == 2
        assert await _left(stores, [registration]) == [None]
        assert await _live(stores, [confirmation]) == []


async def _moved(
    stores: Stores, account: Account, key: str, number: int
) -> tuple[Account, Confirmation]:
    """The account at another address, and the way back to the one that it had."""
    assert account.email_key is not None
    way = a_confirmation(
        number,
        Purpose.REVERT,
        at=START + number,
        email=account.email,
        email_key=account.email_key,
    )
    moved = with_address(account, key)
    assert await stores.accounts.swap(account, moved, _CHANGED, grants=[way])
    return moved, way
