"""Retries of one refresh: how many, and which of them an operator should hear of.

Memory, not state: a retry changes nothing, so nothing is written with its answer, and
what is forgotten here (a restart, the oldest of many) costs a repeated event at most.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final

import msgspec

from watchword.core import limits
from watchword.core.session import Session
from watchword.core.throttle import Cost, take
from watchword.errors import Throttled
from watchword.failures import EventLimit, Record
from watchword.ports import Event, EventType

_RATE: Final = Cost(
    "retries", limits.RETRIES_PER_MINUTE, limits.MINUTE // limits.RETRIES_PER_MINUTE
)
_SESSIONS_KEPT: Final = 10_000
_log = logging.getLogger("watchword.retries")


class _Seen(msgspec.Struct):
    """What is remembered of one session."""

    runs_down: int | None = None
    told: set[tuple[int, bool, bool]] = msgspec.field(default_factory=set)


class Retries:
    """Counts retries by session. `record` writes an audit event."""

    def __init__(self, record: Record) -> None:
        self._events = EventLimit(record)
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._recording: set[asyncio.Task[None]] = set()

    def count(self, session: Session, address: str, now: int) -> None:
        """One more retry of the session's current generation. Raises Throttled."""
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
        # Once per generation and kind: a replay every second is not an event a second.
        this = (session.generation, late, elsewhere)
        if this not in seen.told:
            seen.told = {one for one in seen.told if one[0] == session.generation}
            seen.told.add(this)
            self._tell(session, address, now, late=late, elsewhere=elsewhere)

    def _tell(self, session: Session, address: str, now: int, **kind: bool) -> None:
        event = Event.about(
            EventType.TOKEN_RETRY,
            session,
            address,
            now,
            **kind,
            rotated_from=session.address,
        )
        # Nothing changed, so nothing is lost with it: the answer does not wait.
        key = f"{session.id.hex()} {kind}"  # rotations are as many as its client likes
        task = asyncio.create_task(self._record_quietly(event, key))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record_quietly(self, event: Event, key: str) -> None:
        try:
            await self._events.record(event, key)
        except Exception:  # noqa: BLE001 - logged; the answer has gone out
            _log.exception("an audit event was not written: %s", event.type)
