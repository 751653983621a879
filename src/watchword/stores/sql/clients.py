"""OAuth clients, in a table of their own."""

from __future__ import annotations

from watchword.errors import NameTaken
from watchword.ports.audit import Event, Trail
from watchword.ports.clients import Client
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import Row, as_row, client_of, client_swap_row


class SqlClients:
    """Implements `ClientStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, client: Client, event: Event) -> None:
        if not await self._written("add_client", as_row(client), event):
            raise NameTaken

    async def load(self, client_id: str) -> Client | None:
        rows = await self._database.read("load_client", client_id)
        return client_of(rows[0]) if rows else None

    async def list(self, *, after: str = "", limit: int) -> list[Client]:
        rows = await self._database.query("list_clients", after, limit)
        return [client_of(row) for row in rows]

    async def swap(self, before: Client, after: Client, event: Event) -> bool:
        return await self._written("swap_client", client_swap_row(before, after), event)

    async def _written(self, name: str, values: Row, event: Event) -> bool:
        def plan() -> Plan[bool]:
            written = yield name, [values]
            if written:
                yield from leave(Trail((event,)))
            return bool(written)

        return await self._database.write_plan(plan)
