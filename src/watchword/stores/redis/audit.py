"""Audit events: they wait in the outbox, streams here, for the store of records.

The scripts that change a session write its event to the outbox in the same step. It
stays there until the store of records has adopted it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final
from zlib import crc32

from watchword.ports.audit import AuditLog, Event, EventFilter, EventPage
from watchword.stores.redis.keys import Keys
from watchword.stores.redis.rows import event_of
from watchword.stores.redis.servers import Servers
from watchword.stores.redis.streams import Streams

STEP: Final = 200
"""How many events are read from each bucket at a time."""
ADOPTED: Final = 500
"""How many events are written to the audit log in one transaction."""


class Outbox:
    """Moves events to the audit log of the store of records."""

    def __init__(self, servers: Servers, keys: Keys, audit: AuditLog) -> None:
        self._streams = Streams(servers, keys, keys.outbox)
        self._audit = audit

    async def drain(self) -> None:
        """Move events to the audit log, until the outboxes are empty.

        Each event comes with its place in the outbox. A process that is cut off before
        the deletion, or runs at the same time as another one, hands over events that
        are in the log already; they are recognised by their place. The checksum in the
        place tells an event from another one that a new master wrote at the place of an
        event that was lost.
        """
        while entries := await self._streams.first(STEP):
            entries.sort(key=attrgetter("at"))
            # Some at a time, because other calls wait for that store to write.
            for begin in range(0, len(entries), ADOPTED):
                some = entries[begin : begin + ADOPTED]
                await self._audit.adopt(
                    [
                        (
                            f"{one.bucket}.{one.place.decode()}.{crc32(one.value):08x}",
                            event_of(one.value),
                        )
                        for one in some
                    ]
                )
                await self._streams.delete(some)


class RedisAuditLog:
    """Implements `AuditLog`: the log of the store of records, with an empty outbox."""

    def __init__(self, outbox: Outbox, audit: AuditLog) -> None:
        self._outbox = outbox
        self._audit = audit
        self.record: Final = audit.record
        self.adopt: Final = audit.adopt

    async def read(self, after: int, limit: int) -> list[tuple[int, Event]]:
        await self._outbox.drain()
        return await self._audit.read(after, limit)

    async def last(self) -> int:
        await self._outbox.drain()
        return await self._audit.last()

    async def search(
        self, wanted: EventFilter, *, before: int | None = None, limit: int, look: int
    ) -> EventPage:
        await self._outbox.drain()
        return await self._audit.search(wanted, before=before, limit=limit, look=look)
