"""The store for several machines: PostgreSQL, through asyncpg, also behind a pooler."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from watchword.clocks import Entropy
from watchword.errors import SchemaError, StoreUnavailable
from watchword.ports import Stores
from watchword.reasons import reason_of
from watchword.stores.postgresql import connections, migrations
from watchword.stores.postgresql.audit import event_rows
from watchword.stores.postgresql.backend import PostgresqlBackend
from watchword.stores.postgresql.connection import FAULTS, Connection, Servers
from watchword.stores.postgresql.connections import Connections
from watchword.stores.postgresql.pool import Pool
from watchword.stores.postgresql.sessions import PostgresqlSessions
from watchword.stores.postgresql.throttle import PostgresqlThrottle
from watchword.stores.sql.accounts import SqlAccounts
from watchword.stores.sql.audit import SqlAuditLog
from watchword.stores.sql.clients import SqlClients
from watchword.stores.sql.confirmations import SqlConfirmations
from watchword.stores.sql.consents import SqlConsents
from watchword.stores.sql.credentials import SqlCredentials
from watchword.stores.sql.files import Migration
from watchword.stores.sql.keys import SqlKeys
from watchword.stores.sql.once import SqlReplayCache
from watchword.stores.sql.outbox import SqlOutbox
from watchword.stores.sql.registrations import SqlRegistrations
from watchword.stores.sql.stats import SqlStats
from watchword.stores.sql.webhooks import SqlDeliveries, SqlWebhooks

# The share of the query timeout that the server may take for one statement. It ends a
# little before the caller's time, so that a statement that waits for a lock is given up
# at the server too.
_SERVER_SHARE: Final = 0.8


async def open_stores(url: str, entropy: Entropy) -> Stores:
    """The store in that database. Raises SchemaError where migrations are pending."""
    servers = _servers(url)
    try:
        connection = await servers.connect(connections.QUERY_TIMEOUT)
        missing = await _pending(connection)
    except FAULTS as error:
        message = f"cannot open the database: {reason_of(error)}"
        raise StoreUnavailable(message) from error
    if missing:
        connection.raw.terminate()
        name = missing[0].name
        message = f"schema {name} is not in the database: run `watchword migrate`"
        raise SchemaError(message)
    database = Connections(Pool(servers, connection), entropy)
    return Stores(
        sessions=PostgresqlSessions(database),
        accounts=SqlAccounts(database),
        registrations=SqlRegistrations(database),
        confirmations=SqlConfirmations(database),
        credentials=SqlCredentials(database),
        consents=SqlConsents(database),
        clients=SqlClients(database),
        keys=SqlKeys(database),
        throttle=PostgresqlThrottle(database),
        once=SqlReplayCache(database),
        outbox=SqlOutbox(database),
        audit=SqlAuditLog(database, partial(event_rows, database)),
        stats=SqlStats(database),
        webhooks=SqlWebhooks(database),
        deliveries=SqlDeliveries(database),
        backend=PostgresqlBackend(database),
    )


async def migrate(url: str, *, apply: bool) -> list[Migration]:
    """The pending schema files; with `apply` they are applied."""
    act = migrations.migrate if apply else migrations.pending
    try:
        connection = await _servers(url).connect(connections.QUERY_TIMEOUT)
        try:
            return await act(connection.raw)
        finally:
            connection.raw.terminate()
    except FAULTS as error:
        message = f"cannot migrate the database: {reason_of(error)}"
        raise StoreUnavailable(message) from error


def _servers(url: str) -> Servers:
    return Servers(url, connections.QUERY_TIMEOUT * _SERVER_SHARE)


async def _pending(connection: Connection) -> list[Migration]:
    try:
        async with asyncio.timeout(connections.QUERY_TIMEOUT):
            return await migrations.pending(connection.raw)
    except BaseException:
        connection.raw.terminate()
        raise
