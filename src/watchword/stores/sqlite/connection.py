"""One connection to the file: the version of SQLite, and the pragmas."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import apsw

from watchword.errors import SchemaError, StoreUnavailable
from watchword.reasons import reason_of

# SQLite 3.7.0 to 3.51.2 can lose committed writes when a WAL is reset. apsw has a newer
# SQLite inside.
SQLITE_MIN: Final = (3, 51, 3)
BUSY_MS: Final = 5000
_PAUSE: Final = 0.02  # seconds


def connect(path: Path) -> apsw.Connection:
    """A connection on which a commit returns only when it is on the disk.

    Raises SchemaError for a SQLite that is too old, and StoreUnavailable.
    """
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        message = f"SQLite {version} can lose commits: update apsw"
        raise SchemaError(message)
    try:
        connection = apsw.Connection(str(path), statementcachesize=64)
        connection.set_busy_timeout(BUSY_MS)
        _use_wal(connection)
        connection.pragma("synchronous", "full")
        # One plan for each statement, whatever is bound. Otherwise SQLite prepares many
        # of them anew at each execution, which costs ten times what a short one does.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        # Every checkpoint waits for the disk twice. With a longer WAL they are rarer.
        connection.pragma("wal_autocheckpoint", 4000)
    except apsw.Error as error:
        message = f"cannot open {path}: {reason_of(error)}"
        raise StoreUnavailable(message) from error
    return connection


def _use_wal(connection: apsw.Connection) -> None:
    """Keep changes in a WAL. Raises apsw.BusyError.

    Of several processes that open a new file at once, SQLite tells all but one that the
    file is locked, and does not wait for the busy time-out: it fears a deadlock.
    """
    until = time.monotonic() + 2 * BUSY_MS / 1000
    while True:
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return
