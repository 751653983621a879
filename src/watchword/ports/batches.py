"""What a verb over a batch returns where some of it could not be had."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from watchword.errors import StoreUnavailable

Outcome = TypeVar("Outcome")


class PartialResult(StoreUnavailable):
    """A part of a batch failed. `outcomes` has the outcome of each item, in order.

    In place of the outcome of a failed item there is a StoreUnavailable.
    """

    def __init__(self, outcomes: Sequence[Any]) -> None:
        super().__init__()
        self.outcomes = outcomes


async def outcomes_of(
    asked: Awaitable[Sequence[Outcome]],
) -> Sequence[Outcome | StoreUnavailable]:
    """The outcomes of a verb over a batch, with a StoreUnavailable for a failed item.

    Raises StoreUnavailable where the whole batch failed.
    """
    try:
        return await asked
    except PartialResult as error:
        return error.outcomes
