"""Retries of one refresh: how many, and which of them an operator should hear of.

The counts are kept in memory only. A retry changes nothing, so nothing is written with
its answer. A count that is lost (by a restart, or as the oldest of many) costs a
repeated event at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final

import msgspec

from watchword.audit import AuditLimit, Record
from watchword.core import limits
from watchword.core.session import Session
from watchword.core.throttle import Cost, take
from watchword.errors import Throttled
from watchword.ports.audit import Event, EventType

_RATE: Final = Cost(
    "retries", limits.RETRIES_PER_MINUTE, limits.MINUTE // limits.RETRIES_PER_MINUTE
)
_SESSIONS_KEPT: Final = 10_000
_log = logging.getLogger("watchword.retries")


class _Seen(msgspec.Struct):
    """The retries of one session: when its rate has run down, and what was recorded."""

    runs_down: int | None = None
    recorded: set[tuple[int, bool, bool]] = msgspec.field(default_factory=set)


class Retries:
    """Counts retries by session. `record` writes an audit event."""

    def __init__(self, record: Record) -> None:
        self._events = AuditLimit(record)
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._recording: set[asyncio.Task[None]] = set()

    def count(self, session: Session, address: str, now: int) -> None:
        """Count a retry of the session's current generation. Raises Throttled."""
        seen = self._seen.setdefault(session.id, _Seen())
        if len(self._seen) > _SESSIONS_KEPT:
            self._seen.popitem(last=False)
        counters, wait = take({_RATE.key: seen.runs_down}, [_RATE], now)
        seen.runs_down = counters.get(_RATE.key, seen.runs_down)
        if wait:
            message = "Too many retries of one refresh."
            raise Throttled(message, retry_after=wait // 1000 + 1)
        late = abs(now - session.rotated_at) > limits.RETRY_LATE
        elsewhere = address != session.address
        # Recorded once per generation and kind, so that a client which repeats itself
        # every second does not cause an event every second.
        kind = (session.generation, late, elsewhere)
        if kind not in seen.recorded:
            seen.recorded = {
                one for one in seen.recorded if one[0] == session.generation
            }
            seen.recorded.add(kind)
            self._record(session, address, now, late=late, elsewhere=elsewhere)

    def _record(self, session: Session, address: str, now: int, **kind: bool) -> None:
        event = Event.about(
            EventType.TOKEN_RETRY,
            session,
            address,
            now,
            **kind,
            rotated_from=session.address,
        )
        # A retry changes nothing, so losing its event loses no change: the answer does
        # not wait for it. The key has no generation, because a client can rotate as
        # often as it likes.
        key = f"{session.id.hex()} {kind}"
        task = asyncio.create_task(self._record_quietly(event, key))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record_quietly(self, event: Event, key: str) -> None:
        try:
            await self._events.record(event, key)
        except Exception:  # noqa: BLE001 - logged; the answer has been sent
            _log.exception("an audit event was not written: %s", event.type)
