"""A SQLite store and its file, as tests get at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from watchword.ports import Stores
from watchword.stores import open_stores
from watchword.testing import SeededEntropy


async def opened(path: Path) -> Stores:
    """The store in that file."""
    return await open_stores(f"sqlite:///{path}", SeededEntropy())


def writing(stores: Any) -> apsw.Connection:
    """The connection that the store writes with."""
    connection: apsw.Connection = stores.backend._file.writer._connection
    return connection


def sql(path: Path, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
    """What somebody with the file at hand does to it."""
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(statement, values))
    finally:
        connection.close()
