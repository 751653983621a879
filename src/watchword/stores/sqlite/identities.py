"""Accounts, which sign in, and the OAuth clients through which they do."""

from __future__ import annotations

from watchword.errors import NameTaken
from watchword.ports.accounts import Account
from watchword.ports.audit import Event
from watchword.ports.clients import Client
from watchword.stores.sql_rows import (
    Row,
    account_of,
    account_swap_row,
    as_row,
    client_of,
    client_swap_row,
)
from watchword.stores.sqlite.connections import Connections


class Identities(Connections):
    """Implements `AccountStore` and `ClientStore`."""

    async def add_account(self, account: Account, event: Event) -> None:
        if not await self._write_one("add_account", as_row(account), event):
            raise NameTaken

    async def account_by_name(self, name: str) -> Account | None:
        rows = self._read("account_by_name", (name,))
        return account_of(rows[0]) if rows else None

    async def account_by_id(self, account_id: bytes) -> Account | None:
        rows = self._read("account_by_id", (account_id,))
        return account_of(rows[0]) if rows else None

    async def list_accounts(self, *, after: str = "", limit: int) -> list[Account]:
        rows = await self._query_in_thread("list_accounts", (after, limit))
        return [account_of(row) for row in rows]

    async def swap_account(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        name = "delete_account"
        values: Row = (before.id, before.version)
        if after is not None:
            name, values = "swap_account", account_swap_row(before, after)
        return await self._write_one(name, values, event)

    async def add_client(self, client: Client, event: Event) -> None:
        if not await self._write_one("add_client", as_row(client), event):
            raise NameTaken

    async def load_client(self, client_id: str) -> Client | None:
        rows = self._read("load_client", (client_id,))
        return client_of(rows[0]) if rows else None

    async def list_clients(self, *, after: str = "", limit: int) -> list[Client]:
        rows = await self._query_in_thread("list_clients", (after, limit))
        return [client_of(row) for row in rows]

    async def swap_client(self, before: Client, after: Client, event: Event) -> bool:
        return await self._write_one(
            "swap_client", client_swap_row(before, after), event
        )
