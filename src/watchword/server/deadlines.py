"""How long a connection may take: to send a request, and between two requests."""

from __future__ import annotations

import asyncio
from typing import Final

SECONDS_TO_SEND: Final = 10


class TimedProtocol(asyncio.BufferedProtocol):
    """A protocol that is told when its client has taken too long.

    `keep_alive` is the number of seconds for which a connection may be idle.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, keep_alive: float) -> None:
        self.loop = loop
        self._keep_alive = keep_alive
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._idle_until: float | None = None

    def _too_late(self) -> None:
        """Called if a request has not come whole within SECONDS_TO_SEND."""
        raise NotImplementedError

    def _end(self) -> None:
        """Called if the connection has been idle for too long."""
        raise NotImplementedError

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(SECONDS_TO_SEND, self._too_late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _await_next(self) -> None:
        """Be idle from now on, until `_idle_until` is set to None."""
        self._idle_until = self.loop.time() + self._keep_alive
        if self._idle is None:
            self._check_idle()

    def _check_idle(self) -> None:
        """Close the connection if it has been idle for long enough.

        There is one timer per connection. It is set again when it has run, and not at
        each request.
        """
        now = self.loop.time()
        until = now + self._keep_alive if self._idle_until is None else self._idle_until
        if until > now:
            self._idle = self.loop.call_at(until, self._check_idle)
            return
        self._end()

    def _cancel_timers(self) -> None:
        for timer in (self._idle, self._deadline):
            if timer is not None:
                timer.cancel()
