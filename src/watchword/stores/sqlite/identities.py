"""Accounts and clients: who signs in, and by means of what."""

from __future__ import annotations

from typing import Any

from watchword.errors import NameTaken
from watchword.ports import Account, Client, Event
from watchword.stores.sqlite.connections import Connections, Row, as_row, words


class Identities(Connections):
    """Implements `AccountStore` and `ClientStore`."""

    async def add_account(self, account: Account, event: Event) -> None:
        if not await self._write_one("add_account", as_row(account), event):
            raise NameTaken

    async def account_by_name(self, name: str) -> Account | None:
        rows = self._read("account_by_name", (name,))
        return _account(rows[0]) if rows else None

    async def account_by_id(self, account_id: bytes) -> Account | None:
        rows = self._read("account_by_id", (account_id,))
        return _account(rows[0]) if rows else None

    async def list_accounts(self, *, after: str = "", limit: int) -> list[Account]:
        rows = await self._scan("list_accounts", (after, limit))
        return [_account(row) for row in rows]

    async def swap_account(
        self, before: Account, after: Account | None, event: Event | None
    ) -> bool:
        name = "delete_account"
        values: tuple[Any, ...] = (before.id, before.version)
        if after is not None:
            name = "swap_account"
            values = (
                *(after.name, after.password_hash, " ".join(after.roles)),
                *(after.epoch, after.version, after.disabled),
                *values,
            )
        return await self._write_one(name, values, event)

    async def add_client(self, client: Client, event: Event) -> None:
        if not await self._write_one("add_client", as_row(client), event):
            raise NameTaken

    async def load_client(self, client_id: str) -> Client | None:
        rows = self._read("load_client", (client_id,))
        return _client(rows[0]) if rows else None

    async def list_clients(self, *, after: str = "", limit: int) -> list[Client]:
        rows = await self._scan("list_clients", (after, limit))
        return [_client(row) for row in rows]

    async def swap_client(self, before: Client, after: Client, event: Event) -> bool:
        values = (
            *(after.secret_hash, " ".join(after.scope), " ".join(after.audience)),
            *(after.access_ttl, " ".join(after.grants), " ".join(after.rights)),
            *(after.dpop, after.disabled, after.version, before.id, before.version),
        )
        return await self._write_one("swap_client", values, event)


def _account(row: Row) -> Account:
    account_id, name, password_hash, roles, created_at, epoch, version, disabled = row
    return Account(
        account_id,
        name,
        password_hash,
        words(roles),
        created_at,
        epoch,
        version,
        disabled=disabled == 1,
    )


def _client(row: Row) -> Client:
    client_id, secret_hash, created_at, scope, audience, access_ttl, *rest = row
    grants, rights, dpop, disabled, version = rest
    return Client(
        id=client_id,
        secret_hash=secret_hash,
        created_at=created_at,
        scope=words(scope),
        audience=words(audience),
        access_ttl=access_ttl,
        grants=words(grants),
        rights=words(rights),
        dpop=dpop == 1,
        disabled=disabled == 1,
        version=version,
    )
