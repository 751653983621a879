"""Work that one of all tasks and threads does, while the others wait for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from typing import Any, TypeVar

from watchword.client.runners import Flight, Follow
from watchword.errors import Unreachable, WatchwordError

Result = TypeVar("Result")
Work = Generator[Any, Any, Result]


class Flights:
    """One piece of work at a time, in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._flight: tuple[int, Flight] | None = None

    def join(self) -> tuple[bool, Flight]:
        """Whether this task is the one to work, and the flight that others wait for.

        If another task is at work already, the flight is that task's.
        """
        with self._guard:
            # A flight that was under way when this process was forked goes on in the
            # parent process only.
            if self._flight is not None and self._flight[0] == os.getpid():
                return False, self._flight[1]
            flight: Flight = Flight()
            flight.set_running_or_notify_cancel()  # so a waiting task cannot cancel it
            self._flight = os.getpid(), flight
            return True, flight

    def run(self, flight: Flight, work: Work[Result], *, shared: bool) -> Work[Result]:
        """Do the work as this flight, and end it.

        With `shared` an error is raised in all tasks that wait for the flight too.
        """
        error: WatchwordError | None = None
        try:
            return (yield from work)
        except WatchwordError as raised:
            error = raised if shared else None
            raise
        finally:
            with self._guard:
                self._flight = None
            flight.set_result(error)


def follow(flight: Flight, seconds: float) -> Work[WatchwordError | None]:
    """Wait for a flight and return its error, or None.

    Raises Unreachable where it does not end within so many seconds.
    """
    yield Follow(flight, seconds)
    if not flight.done():
        raise Unreachable("Another task of this process does not end its work.")
    return flight.result()
