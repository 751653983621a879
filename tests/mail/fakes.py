"""An outbox, counters and a way out, in memory, for tests of the sender."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import Any

from watchword.core import throttle
from watchword.core.throttle import Cost
from watchword.errors import MailNotSent, StoreUnavailable
from watchword.ports.audit import Event, EventFilter, EventPage
from watchword.ports.outbox import (
    Lane,
    LeasedMessage,
    Message,
    MessageKind,
    next_ones,
)


class FakeOutbox:
    """Keeps the promises of `ports.outbox.Outbox` that the sender relies on."""

    def __init__(self) -> None:
        self.rows: dict[bytes, LeasedMessage] = {}
        self.leased_until: dict[bytes, int] = {}
        self.leased = 0
        self.away = False

    async def add(self, messages: Sequence[Message]) -> None:
        for one in messages:
            self.rows[one.id] = LeasedMessage(one, 0)

    async def lease(
        self, kind: MessageKind, now: int, until: int, limit: int
    ) -> list[LeasedMessage]:
        due = [
            row
            for row in self.rows.values()
            if row.message.not_before <= now
            and self.leased_until.get(row.message.id, 0) <= now
        ]
        in_order = sorted((row.message for row in due), key=lambda one: one.id)
        confirmed = [one.id for one in in_order if one.lane is Lane.CONFIRMED]
        unknown = [
            (one.id, one.network) for one in in_order if one.lane is Lane.UNKNOWN
        ]
        waiting = Counter(row.message.network for row in self.rows.values())
        taken = next_ones(confirmed, unknown, waiting, limit)
        self.leased += len(taken)
        self.leased_until |= dict.fromkeys(taken, until)
        return [self.rows[one] for one in taken]

    async def done(self, ids: Sequence[bytes]) -> None:
        if self.away:
            raise StoreUnavailable
        for one in ids:
            self.rows.pop(one, None)

    async def postpone(self, message_id: bytes, not_before: int, attempts: int) -> None:
        row = self.rows[message_id].message
        fields = {name: getattr(row, name) for name in row.__struct_fields__}
        later = Message(**fields | {"not_before": not_before})
        self.rows[message_id] = LeasedMessage(later, attempts)
        self.leased_until.pop(message_id)

    async def list(self, *, after: bytes = b"", limit: int) -> list[LeasedMessage]:
        return [row for key, row in sorted(self.rows.items()) if key > after][:limit]

    async def sealed_under(self) -> Mapping[bytes, int]:
        raise NotImplementedError

    async def reseal(self, sealed: Mapping[bytes, bytes]) -> None:
        raise NotImplementedError


class FakeThrottle:
    """Counters as a store has them."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}

    async def take(self, costs: Sequence[Cost], now: int) -> int:
        taken, wait = throttle.take(self.counters, costs, now)
        self.counters |= taken
        return wait

    async def give_back(
        self, costs: Sequence[Cost], *, forget: Sequence[str] = ()
    ) -> None:
        for cost in costs:
            self.counters[cost.key] = throttle.give_back(self.counters[cost.key], cost)


class FakeAudit:
    """What was recorded."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def record(self, event: Event) -> None:
        self.events.append(event)

    async def adopt(self, events: Sequence[tuple[str, Event]]) -> None:
        raise NotImplementedError

    async def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        raise NotImplementedError

    async def last(self) -> int:
        raise NotImplementedError

    async def search(self, wanted: EventFilter, **_: Any) -> EventPage:
        raise NotImplementedError


class FakeTransport:
    """What was sent. `broken` are addresses that refuse, `silent` ones that hang."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []
        self.broken: set[str] = set()
        self.silent: set[str] = set()
        self.never = asyncio.Event()

    async def send(self, message: EmailMessage) -> None:
        to = str(message["to"])
        if to in self.silent:
            await self.never.wait()
        if to in self.broken:
            raise MailNotSent("the mail server answered 550", f"no mailbox {to}")
        self.sent.append(message)

    @property
    def addresses(self) -> list[str]:
        return [str(one["to"]) for one in self.sent]
