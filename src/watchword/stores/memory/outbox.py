"""Messages that wait to be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from watchword.core.limits import SECRET_NAME_BYTES
from watchword.ports.outbox import (
    Lane,
    LeasedMessage,
    Message,
    MessageKind,
    next_ones,
)
from watchword.stores.memory.rows import Memory


class MemoryOutbox:
    """Implements `Outbox`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._memory.send(message)

    async def lease(
        self, kind: MessageKind, now: int, until: int, limit: int
    ) -> list[LeasedMessage]:
        due = [
            one
            for one in self._in_order()
            if one.kind is kind  # type: ignore[redundant-expr]  # the one kind so far
            and one.not_before <= now
            and self._memory.leases.get(one.id, 0) <= now
        ]
        confirmed = [one.id for one in due if one.lane is Lane.CONFIRMED]
        unknown = [(one.id, one.network) for one in due if one.lane is Lane.UNKNOWN]
        waiting = Counter(
            one.network
            for one in self._memory.outbox.values()
            if one.lane is Lane.UNKNOWN
        )
        chosen = next_ones(confirmed, unknown, waiting, limit)
        self._memory.leases.update(dict.fromkeys(chosen, until))
        return [self._leased(message_id) for message_id in chosen]

    async def done(self, ids: Sequence[bytes]) -> None:
        for message_id in ids:
            self._memory.outbox.pop(message_id, None)

    async def postpone(self, message_id: bytes, not_before: int, attempts: int) -> None:
        message = self._memory.outbox.get(message_id)
        if message is not None:
            later = msgspec.structs.replace(message, not_before=not_before)
            self._memory.outbox[message_id] = later
            self._memory.attempts[message_id] = attempts
            self._memory.leases.pop(message_id, None)

    async def list(self, *, after: bytes = b"", limit: int) -> list[LeasedMessage]:
        ids = [one.id for one in self._in_order() if one.id > after]
        return [self._leased(message_id) for message_id in ids[:limit]]

    async def sealed_under(self) -> Mapping[bytes, int]:
        rows = self._memory.outbox.values()
        return Counter(one.sealed[:SECRET_NAME_BYTES] for one in rows)

    async def reseal(self, sealed: Mapping[bytes, bytes]) -> None:
        rows = self._memory.outbox
        for message_id in sealed.keys() & rows.keys():
            rows[message_id] = msgspec.structs.replace(
                rows[message_id], sealed=sealed[message_id]
            )

    def _in_order(self) -> Sequence[Message]:
        return sorted(self._memory.outbox.values(), key=lambda one: one.id)

    def _leased(self, message_id: bytes) -> LeasedMessage:
        message = self._memory.outbox[message_id]
        return LeasedMessage(message, self._memory.attempts[message_id])
