"""Accounts by id and by name."""

from __future__ import annotations

from typing import Protocol

import msgspec

from watchword.core.session import as_text
from watchword.ports.audit import Event


class Account(msgspec.Struct, frozen=True):
    """A person or program that signs in with name and password.

    `id` is the subject of tokens. `name` is normalised and may change. `epoch` rises
    with each change that must end the account's sessions.
    """

    id: bytes
    name: str
    password_hash: str
    roles: tuple[str, ...]
    created_at: int
    epoch: int = 0
    version: int = 0
    disabled: bool = False

    @property
    def subject(self) -> str:
        """The id as tokens have it: their `sub`."""
        return as_text(self.id)


class AccountStore(Protocol):
    """Accounts by id and by name."""

    async def add(self, account: Account, event: Event) -> None:
        """Raises NameTaken where an account has that name, or that id."""

    async def by_name(self, name: str) -> Account | None:
        """The account of that normalised name."""

    async def by_id(self, account_id: bytes) -> Account | None:
        """The account of that id."""

    async def list(self, *, after: str = "", limit: int) -> list[Account]:
        """Accounts in order of name, following `after`."""

    async def swap(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        """Write `after` where the row still has `before.version`; None deletes the row.

        Returns whether it was written.
        """
