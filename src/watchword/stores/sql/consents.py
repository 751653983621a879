"""What users have allowed clients to have, in a table of its own."""

from __future__ import annotations

from watchword.ports.audit import Event, Trail
from watchword.ports.consents import Consent
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import Row, as_row, consent_of


class SqlConsents:
    """Implements `ConsentStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, consent: Consent, event: Event | None) -> bool:
        return await self._written("put_consent", as_row(consent), event)

    async def load(self, account_id: bytes, client_id: str) -> Consent | None:
        rows = await self._database.read("load_consent", account_id, client_id)
        return consent_of(rows[0]) if rows else None

    async def of_account(self, account_id: bytes) -> list[Consent]:
        rows = await self._database.query("consents_of_account", account_id)
        return [consent_of(row) for row in rows]

    async def used(self, account_id: bytes, client_id: str, at: int) -> None:
        await self._written("use_consent", (account_id, client_id, at), None)

    async def drop(self, account_id: bytes, client_id: str, event: Event) -> bool:
        return await self._written("drop_consent", (account_id, client_id), event)

    async def _written(self, name: str, values: Row, event: Event | None) -> bool:
        def plan() -> Plan[bool]:
            written = yield name, [values]
            if written and event is not None:
                yield from leave(Trail((event,)))
            return bool(written)

        return await self._database.write_plan(plan)
