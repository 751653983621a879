"""The ring of signing keys, and its revision.

Keys of access tokens have a table of their own, so that a program from before there
were others finds what it expects, and writes its table anew without harm.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from watchword.ports.audit import Event, Trail
from watchword.ports.keys import KeyUse, SealedKey
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import key_of


class SqlKeys:
    """Implements `KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> tuple[int, list[SealedKey]]:
        rows = await self._database.read("keys")
        keys = [key_of(key) for _, *key in rows if key[0] is not None]
        return rows[0][0], keys

    async def swap(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        rows = [msgspec.structs.astuple(key) for key in keys]
        access = [row[:-1] for row in rows if row[-1] == KeyUse.ACCESS_TOKEN]
        others = [row for row in rows if row[-1] != KeyUse.ACCESS_TOKEN]

        def plan() -> Plan[bool]:
            if not (yield "raise_key_revision", [(revision,)]):
                return False
            yield "drop_keys", [()]
            yield "drop_id_token_keys", [()]
            yield "add_key", access
            yield "add_id_token_key", others
            yield from leave(Trail((event,)))
            return True

        return await self._database.write_plan(plan)
