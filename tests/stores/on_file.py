"""A SQLite store and its file, as tests get at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from watchword.stores.sqlite import SqliteStore
from watchword.testing import SeededEntropy


def opened(path: Path) -> SqliteStore:
    """The store in that file."""
    return SqliteStore(f"sqlite:///{path}", SeededEntropy())


def writing(store: SqliteStore) -> apsw.Connection:
    """The connection that the store writes with."""
    return store._writer._connection


def sql(path: Path, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
    """What somebody with the file at hand does to it."""
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(statement, values))
    finally:
        connection.close()
