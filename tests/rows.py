"""A table that one test goes through: a failure names its row.

A parameter costs each worker of a run a test to collect, to report and to set up: more
than most rows take.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

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


Test = TypeVar("Test", bound=Callable[..., Any])


def in_one(names: str | Sequence[str], rows: Iterable[Any]) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, in a single test: for rows that share what it uses.

    Fixtures are made once, so no row may leave anything for the next one.
    """
    given = [names] if isinstance(names, str) else list(names)

    def made_one(test: Test) -> Test:
        signature = inspect.signature(test)
        fixtures = [
            one for name, one in signature.parameters.items() if name not in given
        ]

        def arguments(row: Any) -> dict[str, Any]:
            values = [row] if isinstance(names, str) else row
            return dict(zip(given, values, strict=True))

        @functools.wraps(test)
        def over_rows(**shared: Any) -> None:
            for checks, row in each(rows):
                with checks:
                    test(**shared, **arguments(row))

        @functools.wraps(test)
        async def over_rows_in_turn(**shared: Any) -> None:
            for checks, row in each(rows):
                with checks:
                    await test(**shared, **arguments(row))

        is_async = inspect.iscoroutinefunction(test)
        one: Any = over_rows_in_turn if is_async else over_rows
        one.__signature__ = signature.replace(parameters=fixtures)
        return cast("Test", one)

    return made_one
