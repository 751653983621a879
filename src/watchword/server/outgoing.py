"""The way back over a connection: answers, and a client that does not read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

SECONDS_TO_READ: Final = 10
# A client reads this much of what waits for it in that time, or it is cut: 1.6 KiB a
# second, less than any network that is still in use.
READ_LEAST: Final = 16 * 1024


class Outgoing(FlowControl):
    """uvicorn's flow control and what it writes to, in one object.

    `closed` is called where uvicorn closes the transport behind an answer: what becomes
    of the connection is the protocol's to say, with `end`.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        closed: Callable[[], None],
    ) -> None:
        super().__init__(transport)
        self.write = transport.write
        self.close = closed
        self._loop = loop
        self._held = False
        self._ended = False
        self._unread: asyncio.TimerHandle | None = None

    def is_closing(self) -> bool:
        return self._ended or self._transport.is_closing()

    def hold(self) -> None:
        """Read no more, whatever uvicorn would, until `release`."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._held:
            super().resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self._ended:
            self._unwatch()

    def end(self, *, linger: bool) -> None:
        """Send what was written, and nothing after it.

        With `linger`, what still comes is read for a while: an answer that is followed
        by a reset may never be seen (RFC 9112 §9.6).
        """
        if self.is_closing():
            return
        self._ended = True
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
            self.release()
        else:
            self._transport.close()
        self._watch()

    def lost(self) -> None:
        """The connection is no more."""
        self._unwatch()
        super().resume_writing()

    def _watch(self) -> None:
        """From now on the client reads what was written, then closes, or is cut."""
        if self._unread is None:
            size = self._transport.get_write_buffer_size()
            self._unread = self._loop.call_later(SECONDS_TO_READ, self._check, size)

    def _unwatch(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _check(self, before: int) -> None:
        self._unread = None
        size = self._transport.get_write_buffer_size()
        if size == 0 or size > before - READ_LEAST:
            self._transport.abort()
        else:
            self._watch()


class Expecting(RequestResponseCycle):
    """Of a client that waits for `100 Continue` before it sends its body.

    Answered without it, the client may send the body or the next request: only the end
    of the connection tells which (RFC 9110 §10.1.1).
    """

    async def send(self, message: Any) -> None:  # noqa: ANN401 - any of ASGI's
        if self.waiting_for_100_continue and self.more_body:
            self.keep_alive = False
        await super().send(message)
