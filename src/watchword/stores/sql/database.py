"""What a SQL store does for the ports that differ by their statements alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from watchword.errors import WatchwordError
from watchword.ports.sessions import SessionExists
from watchword.stores.sql.rows import Row

Result = TypeVar("Result")
Plan: TypeAlias = Generator[tuple[str, Sequence[Row]], Sequence[Any], Result]
"""Statements of one transaction, whatever the database.

A plan yields the name of a statement and the rows to run it with, once each. It is sent
all rows that these return.
"""

REFUSALS: Final = (WatchwordError, SessionExists)
"""What a plan raises so that nothing of it is written."""


class Database(Protocol):
    """A store's statements, by name. Every verb raises StoreUnavailable."""

    async def read(self, name: str, *values: Any) -> Sequence[Any]:  # noqa: ANN401
        """The rows of a statement that finds a few of them by their key."""

    async def query(self, name: str, *values: Any) -> Sequence[Any]:  # noqa: ANN401
        """The rows of a statement that may take longer."""

    async def write_many(self, name: str, rows: Sequence[Row]) -> Sequence[Any]:
        """Run the statement once with each of `rows`; all rows that it returns."""

    async def write_plan(self, plan: Callable[[], Plan[Result]]) -> Result:
        """Run the statements of a plan as one transaction, and return its result.

        Where the plan raises one of REFUSALS, nothing is written. `plan` is called
        anew where the transaction is repeated, so it MUST have no effect of its own.
        """
