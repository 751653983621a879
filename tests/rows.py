"""A table that one test goes through: a failure names its row.

A parameter costs each worker of a run a test to collect, to report and to set up: more
than most rows take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

Row = TypeVar("Row")


def each(rows: Iterable[Row]) -> Iterator[tuple[AbstractContextManager[None], Row]]:
    """Each row, and what its checks are made in."""
    for row in rows:
        yield named(row), row


@contextmanager
def named(row: object) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the row {row!r}")
        raise
