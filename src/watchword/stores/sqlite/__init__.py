"""The default store: one machine, one file, through apsw and the SQLite inside it.

The file is in WAL mode with `synchronous=FULL`: an answer leaves only after the fsync
of its transaction. One thread writes (`writer.py`) and commits all waiting jobs at
once. A read of a few rows by key takes microseconds from the page cache and runs on the
event loop. Longer reads run in a thread.
"""

from __future__ import annotations

from functools import partial

import apsw

from watchword.clocks import Entropy
from watchword.errors import StoreUnavailable
from watchword.ports import Stores
from watchword.reasons import reason_of
from watchword.stores.sql.accounts import SqlAccounts
from watchword.stores.sql.audit import SqlAuditLog
from watchword.stores.sql.clients import SqlClients
from watchword.stores.sql.confirmations import SqlConfirmations
from watchword.stores.sql.consents import SqlConsents
from watchword.stores.sql.credentials import SqlCredentials
from watchword.stores.sql.files import Migration, path_of
from watchword.stores.sql.keys import SqlKeys
from watchword.stores.sql.once import SqlReplayCache
from watchword.stores.sql.outbox import SqlOutbox
from watchword.stores.sql.registrations import SqlRegistrations
from watchword.stores.sql.stats import SqlStats
from watchword.stores.sql.webhooks import SqlDeliveries, SqlWebhooks
from watchword.stores.sqlite import migrations
from watchword.stores.sqlite.backend import SqliteBackend
from watchword.stores.sqlite.connection import connect
from watchword.stores.sqlite.connections import Connections
from watchword.stores.sqlite.sessions import SqliteSessions
from watchword.stores.sqlite.throttle import SqliteThrottle


async def open_stores(url: str, entropy: Entropy) -> Stores:
    """The store in that file, which is made where there is none."""
    del entropy  # SQLite draws the incarnation when the schema is made
    file = Connections(path_of(url))
    return Stores(
        sessions=SqliteSessions(file),
        accounts=SqlAccounts(file),
        registrations=SqlRegistrations(file),
        confirmations=SqlConfirmations(file),
        credentials=SqlCredentials(file),
        consents=SqlConsents(file),
        clients=SqlClients(file),
        keys=SqlKeys(file),
        throttle=SqliteThrottle(file),
        once=SqlReplayCache(file),
        outbox=SqlOutbox(file),
        audit=SqlAuditLog(file, partial(file.query, "read_events")),
        stats=SqlStats(file),
        webhooks=SqlWebhooks(file),
        deliveries=SqlDeliveries(file),
        backend=SqliteBackend(file),
    )


async def migrate(url: str, *, apply: bool) -> list[Migration]:
    """The pending schema files; with `apply` they are applied."""
    connection = None
    try:
        connection = connect(path_of(url))
        if apply:
            return migrations.migrate(connection)
        return migrations.pending(connection)
    except apsw.Error as error:
        message = f"cannot migrate {path_of(url)}: {reason_of(error)}"
        raise StoreUnavailable(message) from error
    finally:
        if connection is not None:
            connection.close()
