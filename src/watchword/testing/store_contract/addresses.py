"""Contract: mail addresses of accounts, and names that were let go."""

# ruff: noqa: S101, PLR2004 - a test suite: assertions over literal expectations

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from watchword.core.limits import HELD_FOR
from watchword.errors import EmailTaken, NameTaken
from watchword.ports import Stores
from watchword.ports.accounts import Account
from watchword.ports.audit import EventType
from watchword.testing.fakes import START
from watchword.testing.store_contract.backend import OnAStore
from watchword.testing.store_contract.examples import (
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


class Addresses(OnAStore):
    """What an account signs in by is no other account's, and not soon."""

    async def test_account_is_found_by_its_address(self, stores: Stores) -> None:
        """An address comes back as it was written, and may be changed and taken off."""
        account = await _with_address(stores)
        for found in (
            await stores.accounts.by_email("ada@example.org"),
            await stores.accounts.by_id(account.id),
            *await stores.accounts.list(limit=1),
        ):
            assert found == account
        assert await stores.accounts.by_email("Ada@Example.Org") is None
        bare = msgspec.structs.replace(
            account,
            email=None,
            email_key=None,
            email_confirmed_at=None,
            locale="de",
            version=2,
        )
        assert await stores.accounts.swap(account, bare, _CHANGED)
        assert await stores.accounts.by_email("ada@example.org") is None
        assert await stores.accounts.by_name("ada") == bare

    async def test_address_is_taken_once(self, stores: Stores) -> None:
        """Neither a new account nor a change gets the address of another one."""
        ada = await _with_address(stores)
        bob = await _with_address(stores, "bob", 2)
        second = with_address(an_account("eve", 3))
        with pytest.raises(EmailTaken):
            await stores.accounts.add(second, _CREATED, ignore_holds=True)
        with pytest.raises(EmailTaken):
            await stores.accounts.swap(bob, with_address(bob), _CHANGED)
        named = msgspec.structs.replace(bob, name="ada", version=2)
        with pytest.raises(NameTaken):
            await stores.accounts.swap(bob, named, _CHANGED)
        assert await stores.accounts.list(limit=9) == [ada, bob]
        assert await stores.audit.last() == 2

    async def test_name_is_no_address_of_another(self, stores: Stores) -> None:
        """A user signs in by name or address, so these are never two accounts'."""
        await _with_address(stores)
        with pytest.raises(NameTaken):
            await stores.accounts.add(an_account("ada@example.org", 2), _CREATED)
        await stores.accounts.add(an_account("bob@example.org", 2), _CREATED)
        bob = with_address(an_account("bob", 3), "bob@example.org")
        with pytest.raises(EmailTaken):
            await stores.accounts.add(bob, _CREATED)
        # Of an account without a user name both are the same.
        cyd = with_address(an_account("cyd@example.org", 4), "cyd@example.org")
        await stores.accounts.add(cyd, _CREATED)
        assert await stores.accounts.by_email("cyd@example.org") == cyd

    async def test_what_was_let_go_is_held_for_its_last_owner(
        self, stores: Stores
    ) -> None:
        """For HELD_FOR another account gets name or address from an operator alone."""
        ada = await _with_address(stores)
        moved = with_address(
            msgspec.structs.replace(ada, name="lovelace"), "lovelace@example.org"
        )
        assert await stores.accounts.swap(ada, moved, _CHANGED)
        await sweep_up(stores, START + HELD_FOR - 1)
        taken: tuple[tuple[Account, type[Exception]], ...] = (
            (an_account("ada", 2), NameTaken),
            (with_address(an_account("eve", 2)), EmailTaken),
            (an_account("ada@example.org", 2), NameTaken),
        )
        for account, error in taken:
            with pytest.raises(error):
                await stores.accounts.add(account, _CREATED)
        back = msgspec.structs.replace(ada, version=moved.version + 1)
        assert await stores.accounts.swap(moved, back, _CHANGED)
        # What is an account's again is not held, and what it let go meanwhile is.
        with pytest.raises(NameTaken):
            await stores.accounts.add(an_account("lovelace", 2), _CREATED)
        await stores.accounts.add(
            an_account("lovelace", 2), _CREATED, ignore_holds=True
        )
        with pytest.raises(EmailTaken):
            await stores.accounts.add(
                with_address(an_account("eve", 3), "lovelace@example.org"), _CREATED
            )

    async def test_name_of_a_deleted_account_is_held(self, stores: Stores) -> None:
        """Once HELD_FOR is over, a sweep frees it."""
        account = await _with_address(stores)
        assert await stores.accounts.swap(account, None, _CHANGED)
        again = with_address(an_account("ada", 2))
        with pytest.raises(EmailTaken):
            await stores.accounts.add(again, _CREATED)
        await sweep_up(stores, START + HELD_FOR)
        await stores.accounts.add(again, _CREATED)
