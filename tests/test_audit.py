"""Audit events that any caller can cause: each counted, few written, none unbounded."""

from __future__ import annotations

from typing import Any

import pytest

from watchword.audit import AuditLimit, OncePerMinute
from watchword.core.limits import EVENT_BURST, EVENT_INTERVAL, HOUR, MINUTE
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event, EventType

NOW = 1_800_000_000_000
FAILED, THROTTLED = EventType.SIGN_IN_FAILED, EventType.SIGN_IN_THROTTLED


class Log(list[Event]):
    away = False

    async def record(self, event: Event) -> None:
        if self.away:
            raise StoreUnavailable
        self.append(event)


def event(at: int = NOW, kind: EventType = FAILED, **detail: Any) -> Event:
    return Event(type=kind, at=at, address="192.0.2.1", detail=detail)


async def test_a_key_has_one_event_a_minute() -> None:
    """A name that is guessed from everywhere, and a network that guesses at all."""
    log = Log()
    limit = AuditLimit(log.record)
    for number in range(100):
        await limit.record(event(), f"name {number}", "one network")
        await limit.record(event(NOW + 1), "one name", f"network {number}")
    assert [one.at for one in log] == [NOW, NOW + 1]
    for later in (NOW + MINUTE, NOW - HOUR):  # a clock set back silences nothing
        await limit.record(event(later), "another", "one network")
    assert len(log) == 4


async def test_a_type_has_a_ceiling_and_what_it_leaves_out_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the keys are: a thousand networks are one caller's, perhaps."""
    log = Log()
    limit = AuditLimit(log.record)
    for number in range(EVENT_BURST + 50):
        await limit.record(event(reason="x"), f"network {number}")
    assert len(log) == EVENT_BURST
    assert len(caplog.records) == 1
    await limit.record(event(kind=THROTTLED))  # each type has its own
    assert len(log) == EVENT_BURST + 1
    log.away = True  # what was left out is not lost with the event that tells of it
    with pytest.raises(StoreUnavailable):
        await limit.record(event(NOW + EVENT_INTERVAL))
    log.away = False
    await limit.record(event(NOW + 2 * EVENT_INTERVAL, reason="y"))
    await limit.record(event(NOW + 3 * EVENT_INTERVAL, reason="z"))
    assert [one.detail for one in log[-2:]] == [
        {"reason": "y", "left_out": 50},
        {"reason": "z"},
    ]


def test_what_is_remembered_is_bounded() -> None:
    once_per_minute = OncePerMinute()
    for number in range(20_000):
        assert once_per_minute.is_due(NOW, f"name {number}", f"network {number}")
    assert len(once_per_minute._recorded) <= 10_000
