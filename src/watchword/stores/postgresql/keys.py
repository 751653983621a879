"""The ring of signing keys, and its revision."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.ports.audit import Event
from watchword.ports.keys import SealedKey
from watchword.stores.postgresql.connection import Connection
from watchword.stores.postgresql.connections import Connections
from watchword.stores.sql.rows import event_row, key_of


class PostgresqlKeys:
    """Implements `KeyStore`."""

    def __init__(self, database: Connections) -> None:
        self._database = database

    async def load(self) -> tuple[int, list[SealedKey]]:
        rows = await self._database.query("keys")
        keys = [key_of(key) for _, *key in rows if key[0] is not None]
        return rows[0][0], keys

    async def swap(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        rows = [msgspec.structs.astuple(key) for key in keys]

        async def work(connection: Connection) -> bool:
            if not await connection.fetch("raise_key_revision", revision):
                return False
            await connection.fetch("drop_keys")
            if rows:
                await connection.fetch_many("add_key", rows)
            await connection.fetch("record", *event_row(event))
            return True

        return await self._database.transaction(work)
