"""Registrations that wait for their confirmation, in a table of their own."""

from __future__ import annotations

from watchword.ports.audit import Trail
from watchword.ports.registrations import Neighbour, Registration, crowded_out
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import as_row, registration_of


class SqlRegistrations:
    """Implements `RegistrationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, registration: Registration, trail: Trail) -> None:
        key, network = registration.email_key, registration.network

        def plan() -> Plan[None]:
            yield "lock_address", [(key,)]
            yield "put_registration", [as_row(registration)]
            rows = yield "neighbours", [(key, network)]
            gone = crowded_out([Neighbour(*row) for row in rows])
            yield "drop_registration", [(one,) for one in gone]
            yield from leave(trail)

        await self._database.write_plan(plan)

    async def by_id(self, id_hash: bytes) -> Registration | None:
        rows = await self._database.read("registration_by_id", id_hash)
        return registration_of(rows[0]) if rows else None

    async def by_token(self, token_hash: bytes) -> Registration | None:
        rows = await self._database.read("registration_by_token", token_hash)
        return registration_of(rows[0]) if rows else None

    async def renew(self, id_hash: bytes, token_hash: bytes) -> bool:
        row = (token_hash, id_hash)
        return bool(await self._database.write_many("renew_registration", [row]))
