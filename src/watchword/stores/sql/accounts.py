"""Accounts, in a table of their own."""

from __future__ import annotations

from watchword.errors import NameTaken
from watchword.ports.accounts import Account
from watchword.ports.audit import Event
from watchword.stores.sql.database import Database
from watchword.stores.sql.rows import account_of, account_swap_row, as_row


class SqlAccounts:
    """Implements `AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, account: Account, event: Event) -> None:
        if not await self._database.write_one("add_account", as_row(account), event):
            raise NameTaken

    async def by_name(self, name: str) -> Account | None:
        rows = await self._database.read("account_by_name", name)
        return account_of(rows[0]) if rows else None

    async def by_id(self, account_id: bytes) -> Account | None:
        rows = await self._database.read("account_by_id", account_id)
        return account_of(rows[0]) if rows else None

    async def list(self, *, after: str = "", limit: int) -> list[Account]:
        rows = await self._database.query("list_accounts", after, limit)
        return [account_of(row) for row in rows]

    async def swap(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        if after is None:
            gone = (before.id, before.version)
            return await self._database.write_one("delete_account", gone, event)
        values = account_swap_row(before, after)
        return await self._database.write_one("swap_account", values, event)
