"""What a SQL store does for the ports that differ by their statements alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from watchword.ports.audit import Event
from watchword.stores.sql.rows import Row


class Database(Protocol):
    """A store's statements, by name. Every verb raises StoreUnavailable."""

    async def read(self, name: str, *values: Any) -> Sequence[Any]:  # noqa: ANN401
        """The rows of a statement that finds a few of them by their key."""

    async def query(self, name: str, *values: Any) -> Sequence[Any]:  # noqa: ANN401
        """The rows of a statement that may take longer."""

    async def write_one(self, name: str, values: Row, event: Event | None) -> bool:
        """Whether the statement wrote its row. If it did, the event is recorded too."""

    async def write_many(self, name: str, rows: Sequence[Row]) -> Sequence[Any]:
        """Run the statement once with each of `rows`; all rows that it returns."""
