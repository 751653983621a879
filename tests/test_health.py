"""Readiness: a write that works, seldom enough, and the cause of a fault in the log."""

from __future__ import annotations

import pytest

from watchword.core.limits import MINUTE, WRITE_TRIED
from watchword.errors import Overloaded, StoreUnavailable, TryAgain
from watchword.stores.health import Health
from watchword.testing import ManualClock


class Disk:
    """A backend, and its keys used once."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.fault: TryAgain | None = None

    async def use_once(self, uses: object) -> list[bool]:
        assert isinstance(uses, list)
        if self.fault is not None:
            raise self.fault
        self.written += [key for key, _ in uses]
        return [True] * len(uses)

    async def check(self) -> None:
        """It can be read."""

    async def sweep(self, now: int, limit: int) -> int:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def health_of(disk: Disk, here: ManualClock) -> Health:
    return Health(
        backend=disk, once=disk, clock=ManualClock(), monotonic=here, name=b"one"
    )


async def test_however_often_it_is_asked_little_is_written() -> None:
    """Anyone may ask; a fault is found, and found to be over, within that time."""
    disk, here = Disk(), ManualClock(0)
    health = health_of(disk, here)
    for _ in range(100):
        await health.check()
    assert len(disk.written) == 1
    disk.fault = StoreUnavailable("full")
    here.advance(WRITE_TRIED - 1)
    await health.check()
    here.advance(1)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await health.check()
    disk.fault = None
    with pytest.raises(StoreUnavailable):
        await health.check()
    here.advance(WRITE_TRIED)
    await health.check()
    disk.fault = Overloaded()  # a busy store is a working one
    here.advance(WRITE_TRIED)
    await health.check()


async def test_a_fault_that_many_are_told_does_not_grow() -> None:
    """Each caller's frames would be kept, for as long as the fault is."""
    disk = Disk()
    disk.fault = StoreUnavailable("full")
    health = health_of(disk, ManualClock(0))
    lengths = set()
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as told:
            await health.check()
        lengths.add(len(told.traceback))
    assert len(lengths) == 1


async def test_the_first_cause_is_logged_once_a_minute_and_without_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = ManualClock(0)
    health = health_of(Disk(), here)

    def fault(first: Exception) -> StoreUnavailable:
        lost, told = ConnectionError("lost"), StoreUnavailable()
        lost.__cause__, told.__cause__ = first, lost
        return told

    for _ in range(3):
        health.log_fault(fault(OSError(28, "No space left on device")))
        health.log_fault(
            fault(ValueError("refused\nDETAIL: (alice@example.com) exists"))
        )
        health.log_fault(StoreUnavailable("the feed is behind"))
    here.advance(MINUTE)
    health.log_fault(fault(OSError(28, "No space left on device")))
    assert [record.getMessage() for record in caplog.records] == [
        "the store does not answer: OSError: [Errno 28] No space left on device",
        "the store does not answer: ValueError: refused",
        "the store does not answer: OSError: [Errno 28] No space left on device",
    ]
