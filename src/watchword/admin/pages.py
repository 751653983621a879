"""Pages of lists: items, and a sealed cursor for those that follow."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from watchword.core import limits
from watchword.core.session import from_text
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

    def page(
        self, asked: str, items: Sequence[Item], onward: str | int | None
    ) -> Page[Item]:
        """Items, and the cursor of the place where the page that follows begins."""
        return Page(items, None if onward is None else self.seal(asked, onward))

    def first_of(
        self, asked: str, rows: Sequence[Item], limit: int, place: Callable[[Item], str]
    ) -> Page[Item]:
        """The first `limit` of `rows`: where there is one more, a page follows.

        `place` says where an item stands in the list.
        """
        onward = place(rows[limit - 1]) if len(rows) > limit else None
        return self.page(asked, rows[:limit], onward)

    def open(self, asked: str, cursor: str) -> list[str | int]:
        """The place. Raises InvalidRequest for a cursor of another list, or too old."""
        try:
            place = self._tickets.open(TicketPurpose.CURSOR, cursor, _Place)
        except TicketInvalid:
            place = None
        if place is None or place.asked != asked:
            raise _other()
        return place.at

    def number_in(self, asked: str, cursor: str) -> int:
        """The place where a list is in order of numbers. Raises InvalidRequest."""
        match self.open(asked, cursor):
            case [int(at)]:
                return at
        raise _other()

    def text_in(self, asked: str, cursor: str) -> str:
        """The place where a list is in order of texts. Raises InvalidRequest."""
        match self.open(asked, cursor):
            case [str(at)]:
                return at
        raise _other()


def _other() -> InvalidRequest:
    return InvalidRequest("after is no cursor of this list, or too old.")


def asked_for(kind: str, **filters: str | int | bool | None) -> str:
    """How a cursor names the list of that kind with those filters."""
    return msgspec.json.encode([kind, filters]).decode()


def checked_limit(limit: int) -> int:
    """Raises InvalidRequest for more or fewer items than a page can have."""
    if not 1 <= limit <= limits.ADMIN_LIST_MAX:
        message = f"limit is a number from 1 to {limits.ADMIN_LIST_MAX}."
        raise InvalidRequest(message)
    return limit


def prefix_of(q: str) -> str:
    """What names and addresses begin with that a list is searched for.

    It is folded as names are. Raises InvalidRequest for a text that none can begin
    with.
    """
    folded = unicodedata.normalize("NFKC", q).casefold()
    folded = unicodedata.normalize("NFKC", folded).lstrip()
    if len(folded) > limits.USER_NAME_MAX or any(
        unicodedata.category(char)[0] == "C" for char in folded
    ):
        raise InvalidRequest("q is the beginning of a user name or mail address.")
    return folded


def id_in(fields: Mapping[str, str], name: str) -> bytes | None:
    """An id among the fields of a query, if it was given. Raises InvalidRequest."""
    given = fields.get(name)
    if not given:
        return None
    found = from_text(given)
    if found is None:
        message = f"{name} is an id such as 01234567-89ab-7cde-8f01-23456789abcd."
        raise InvalidRequest(message)
    return found
