"""The way back over a connection: answers, and a client that does not read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

SECONDS_TO_READ: Final = 10
# A client reads this much of what waits for it in that time, or it is cut: 1.6 KiB a
# second, less than any network that is still in use.
READ_LEAST: Final = 16 * 1024
_NO_BODY: Final = (204, 304)


def _nothing(*_: object) -> None:
    """What there is to do for a connection that is gone."""


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
        self.write: Callable[[bytes], None] = transport.write
        self.close: Callable[[], None] = closed
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
        """The connection is no more: nothing is written, and no cycle is left."""
        self._unwatch()
        self.write = self.close = _nothing
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


class Exchange(RequestResponseCycle):
    """A request and its answer: uvicorn's, but for the head of the answer.

    uvicorn looks at each field by two regular expressions: measured, a twentieth of a
    refresh. Here the head is looked at once, as a whole.
    """

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as uvicorn's own
        if self.waiting_for_100_continue and self.more_body:
            # Answered without 100, the client may send the body or the next request:
            # only the end of the connection tells which (RFC 9110 §10.1.1).
            self.keep_alive = False
        if self.response_started or self.disconnected or self.flow.write_paused:
            await super().send(message)
            return
        if message["type"] != "http.response.start":
            raise RuntimeError("an answer begins with its head")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.transport.write(self._head(message["status"], message["headers"]))

    def _head(self, status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        """The head of the answer. Raises RuntimeError where a field is more than one.

        The names are in lower case, as all that this application writes.
        """
        every = [*self.default_headers, *fields]
        parts = [STATUS_LINE[status]]
        for name, value in every:
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection":  # nothing but `close` is ever said there
                self.keep_alive = False
            parts += (name, b": ", value, b"\r\n")
        more = []
        if not self.keep_alive and b"connection" not in parts:
            more.append(b"connection: close\r\n")
        has_body = self.scope["method"] != "HEAD" and status not in _NO_BODY
        if self.chunked_encoding is None and has_body:
            self.chunked_encoding = True
            more.append(b"transfer-encoding: chunked\r\n")
        head = b"".join([*parts, *more, b"\r\n"])
        lines = 2 + len(every) + len(more)
        if not head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r") == lines:
            raise RuntimeError("a field of the answer has a line end in it")
        return head
