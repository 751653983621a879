"""Accounts by id, by name and by mail address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from watchword.core import limits
from watchword.core.session import as_text
from watchword.errors import EmailTaken, LastAdmin, NameTaken
from watchword.ports.audit import Trail
from watchword.ports.confirmations import Confirmation
from watchword.ports.credentials import Credential


class Account(msgspec.Struct, frozen=True):
    """A person or program that signs in with name and password.

    `id` is the subject of tokens. `name` is normalised and may change. `epoch` rises
    with each change that must end the account's sessions. Mail goes to `email`, byte
    for byte. `email_key` is its one spelling; it is None where the account has no
    address, or has one that another account may still take.
    """

    id: bytes
    name: str
    password_hash: str
    roles: tuple[str, ...]
    created_at: int
    epoch: int = 0
    version: int = 0
    disabled: bool = False
    email: str | None = None
    email_key: str | None = None
    email_confirmed_at: int | None = None
    locale: str = "en"

    @property
    def subject(self) -> str:
        """The id as tokens have it: their `sub`."""
        return as_text(self.id)

    @property
    def keys(self) -> frozenset[str]:
        """What the account signs in by: its name and the key of its address."""
        both = (self.name, self.email_key)
        return frozenset(key for key in both if key is not None)


class Hold(msgspec.Struct, frozen=True):
    """A name or address that an account let go, or can come back to.

    It is held for that account until an instant (ms). An operator may give it to
    another one, but not while a way back to it is open: then `is_way_back` is true.
    """

    key: str
    account_id: bytes
    until: int
    is_way_back: bool = False


def refuse_taken(account: Account, others: Sequence[Account]) -> None:
    """Raises NameTaken, EmailTaken where one of the others has one of its keys, or id.

    A name must not be an address of another account either: a user signs in by both.
    """
    _refuse(account, {key for other in others for key in other.keys})
    if any(other.id == account.id for other in others):
        raise NameTaken


def refuse_held(account: Account, holds: Iterable[Hold], *, ignore_holds: bool) -> None:
    """Raises NameTaken, EmailTaken where one of its keys is another account's still."""
    others = (hold for hold in holds if hold.account_id != account.id)
    held = {hold.key for hold in others if hold.is_way_back or not ignore_holds}
    _refuse(account, held)


def _refuse(account: Account, taken: set[str]) -> None:
    if account.email_key in taken:
        raise EmailTaken
    if account.name in taken:
        raise NameTaken


def let_go(before: Account, after: Account | None, trail: Trail) -> list[Hold]:
    """The holds on what the account has no longer, from the first event of `trail`."""
    keys = before.keys - (after.keys if after is not None else frozenset())
    return [
        Hold(key, before.id, trail.events[0].at + limits.HELD_FOR)
        for key in sorted(keys)
    ]


def refuse_last(account_id: bytes, enabled: Iterable[bytes]) -> None:
    """Raises LastAdmin unless another account is among those enabled of a role."""
    if not any(other != account_id for other in enabled):
        raise LastAdmin


class AccountPage(msgspec.Struct, frozen=True):
    """Some accounts, in order of what they were found by.

    `onward` is the `after` of the next page, None at the end. A page may be short or
    empty although another one follows.
    """

    accounts: Sequence[Account]
    onward: str | None = None


class AccountStore(Protocol):
    """Accounts by id, by name and by mail address.

    `spends` is the token hash of a registration or confirmation. It is deleted in the
    same step, and everything that dies with it: of all callers that spend one, one
    succeeds. Where it is gone, ConfirmationInvalid is raised and nothing is written.

    `ignore_holds` says that an operator acts: what others let go is free to take.
    """

    async def add(
        self,
        account: Account,
        trail: Trail,
        *,
        spends: bytes | None = None,
        ignore_holds: bool = False,
    ) -> None:
        """Write a new account.

        A registration that is spent takes all others of its address along. Raises
        NameTaken where an account has that name, or that id; EmailTaken where one has
        that address; either where it is held. Raises ConfirmationInvalid.
        """

    async def by_name(self, name: str) -> Account | None:
        """The account of that normalised name."""

    async def by_id(self, account_id: bytes) -> Account | None:
        """The account of that id."""

    async def by_email(self, email_key: str) -> Account | None:
        """The account of that address, by its one spelling."""

    async def list(self, *, after: str = "", limit: int) -> list[Account]:
        """Accounts in order of name, following `after`."""

    async def search(
        self,
        prefix: str,
        *,
        after: str = "",
        limit: int,
        look: int,
        role: str | None = None,
        disabled: bool | None = None,
    ) -> AccountPage:
        """Accounts whose name or `email_key` begins with `prefix`, `limit` at most.

        In order of the one of both that begins so, byte by byte; an account where both
        do is found by its name alone. Without a prefix all are found, by name. Only
        those after `after`. `role` and `disabled` leave out accounts that differ; MUST
        look at about `look` rows at most, those left out included.
        """

    async def swap(
        self,
        before: Account,
        after: Account | None,
        trail: Trail,
        *,
        spends: bytes | None = None,
        grants: Sequence[Confirmation] = (),
        ignore_holds: bool = False,
        keeps_role: str | None = None,
        spends_code: Credential | None = None,
        drops_factors_after: int | None = None,
    ) -> bool:
        """Write `after` where the row still has `before.version`; None deletes the row.

        A name or address that the account lets go is held for it, for HELD_FOR from the
        first event of `trail`, which there MUST be then. `grants` are written as by
        `ConfirmationStore.add`. With the row go its confirmations, its credentials and
        the messages that wait for it; with its epoch those confirmations that
        `void_after_epoch` names, before any is granted.

        `spends_code` is a credential of the account that is deleted (by id and version)
        in the same step. Where it is gone, SecondFactorInvalid is raised and nothing is
        written. With `drops_factors_after`, an instant (ms), go the credentials that
        `dropped_after` names.

        `keeps_role` says that an enabled account of that role MUST stay, besides this
        one. Of callers that race for the last one, at least one is refused.

        Returns whether it was written. Raises NameTaken, EmailTaken and
        ConfirmationInvalid as `add` does, LastAdmin, and SecondFactorInvalid.
        """
