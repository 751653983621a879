"""Accounts, which sign in, and the OAuth clients through which they do."""

from __future__ import annotations

from watchword.errors import NameTaken
from watchword.ports.accounts import Account
from watchword.ports.audit import Event
from watchword.ports.clients import Client
from watchword.stores.postgresql.connections import Connections
from watchword.stores.sql_rows import (
    account_of,
    account_swap_row,
    as_row,
    client_of,
    client_swap_row,
)


class Identities(Connections):
    """Implements `AccountStore` and `ClientStore`."""

    async def add_account(self, account: Account, event: Event) -> None:
        if not await self._write_one("add_account", as_row(account), event):
            raise NameTaken

    async def account_by_name(self, name: str) -> Account | None:
        rows = await self._fetch("account_by_name", name)
        return account_of(rows[0]) if rows else None

    async def account_by_id(self, account_id: bytes) -> Account | None:
        rows = await self._fetch("account_by_id", account_id)
        return account_of(rows[0]) if rows else None

    async def list_accounts(self, *, after: str = "", limit: int) -> list[Account]:
        rows = await self._fetch("list_accounts", after, limit)
        return [account_of(row) for row in rows]

    async def swap_account(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        if after is None:
            gone = (before.id, before.version)
            return await self._write_one("delete_account", gone, event)
        values = account_swap_row(before, after)
        return await self._write_one("swap_account", values, event)

    async def add_client(self, client: Client, event: Event) -> None:
        if not await self._write_one("add_client", as_row(client), event):
            raise NameTaken

    async def load_client(self, client_id: str) -> Client | None:
        rows = await self._fetch("load_client", client_id)
        return client_of(rows[0]) if rows else None

    async def list_clients(self, *, after: str = "", limit: int) -> list[Client]:
        rows = await self._fetch("list_clients", after, limit)
        return [client_of(row) for row in rows]

    async def swap_client(self, before: Client, after: Client, event: Event) -> bool:
        return await self._write_one(
            "swap_client", client_swap_row(before, after), event
        )
