"""The audit log, as operators read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from watchword.admin.pages import Cursors, Page, asked_for, checked_limit, id_in
from watchword.core import limits
from watchword.errors import InvalidRequest
from watchword.ports.audit import AuditLog, Event, EventFilter, EventType
from watchword.webhooks.topics import any_is_in, topics_of, types_of

_TYPES: Final = frozenset(EventType)


class EventAdmin:
    """Searches the audit log, and follows it.

    `topic` is one of webhooks, or a group such as `session.*`: of the types that it can
    come from, events of other topics are left out.
    """

    def __init__(self, *, audit: AuditLog, cursors: Cursors) -> None:
        self._audit = audit
        self._cursors = cursors

    async def list(
        self,
        wanted: EventFilter,
        *,
        topic: str = "",
        after: str | None = None,
        limit: int = limits.ADMIN_LIST,
    ) -> Page[tuple[int, Event]]:
        """Events with their sequence numbers, newest first. Raises InvalidRequest."""
        asked = asked_for("events", topic=topic, **_named(wanted))
        page = await self._audit.search(
            wanted,
            before=None if after is None else self._cursors.number_in(asked, after),
            limit=checked_limit(limit),
            look=limits.ADMIN_LOOK,
        )
        return self._cursors.page(asked, _of_topic(page.events, topic), page.onward)

    async def since(
        self, wanted: EventFilter, sequence: int, limit: int, *, topic: str = ""
    ) -> Sequence[tuple[int, Event]]:
        """The newest events after that sequence number: for a list that follows."""
        page = await self._audit.search(
            wanted, limit=checked_limit(limit), look=limits.ADMIN_LOOK
        )
        return [one for one in _of_topic(page.events, topic) if one[0] > sequence]

    @staticmethod
    def wanted_of(fields: Mapping[str, str]) -> tuple[EventFilter, str]:
        """The filter and the topic that a query asks for.

        Its fields are `type` (of the audit log, or a topic), `account`, `session`,
        `address`, `from` and `to`; others are left alone. Raises InvalidRequest.
        """
        kind, address = fields.get("type", ""), fields.get("address", "")
        if len(address) > limits.ADDRESS_MAX or not address.isprintable():
            raise InvalidRequest("address is an IP address.")
        wanted = EventFilter(
            types=types_of(kind) if kind else frozenset(),
            account_id=id_in(fields, "account"),
            session_id=id_in(fields, "session"),
            address=address,
            since=_instant_in(fields, "from"),
            until=_instant_in(fields, "to"),
        )
        return wanted, "" if kind in _TYPES else kind


def _of_topic(
    events: Sequence[tuple[int, Event]], topic: str
) -> Sequence[tuple[int, Event]]:
    if not topic:
        return events
    return [one for one in events if any_is_in(topics_of(one[1]), (topic,))]


def _named(wanted: EventFilter) -> dict[str, str | int | None]:
    """The filter as a cursor names it."""
    named = msgspec.structs.asdict(wanted)
    for name in ("account_id", "session_id"):
        named[name] = named[name] and named[name].hex()
    return {**named, "types": " ".join(sorted(wanted.types))}


def _instant_in(fields: Mapping[str, str], name: str) -> int | None:
    """An instant in ms. Without an offset it is in UTC. Raises InvalidRequest."""
    given = fields.get(name)
    if not given:
        return None
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        message = f"{name} is a time such as 2027-01-15T08:00:00Z."
        raise InvalidRequest(message) from None
