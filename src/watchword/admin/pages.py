"""Pages of lists: items, and a sealed cursor for those that follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import InvalidRequest

Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Some items of a list. `next` is the `after` of the page that follows, if any.

    A page may be short or empty although another one follows.
    """

    items: Sequence[Item]
    next: str | None = None


class _Place(msgspec.Struct, frozen=True):
    """Where in which list. `asked` is what the list was asked for."""

    asked: str
    at: list[str | int]


class Cursors:
    """Seals places in lists, so that a client cannot make any up."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def seal(self, asked: str, *at: str | int) -> str:
        """The cursor of a place in the list `asked` for, such as `accounts?q=a`."""
        return self._tickets.seal(TicketPurpose.CURSOR, _Place(asked, list(at)))

    def open(self, asked: str, cursor: str) -> list[str | int]:
        """The place. Raises InvalidRequest for a cursor of another list, or too old."""
        try:
            place = self._tickets.open(TicketPurpose.CURSOR, cursor, _Place)
        except TicketInvalid:
            place = None
        if place is None or place.asked != asked:
            raise InvalidRequest("after is no cursor of this list, or too old.")
        return place.at
