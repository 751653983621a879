"""Writing to a connection: answers, and clients that do not read them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

SECONDS_TO_READ: Final = 10
# A client must read this much of what waits for it within SECONDS_TO_READ, or it is cut
# off. That is 1.6 KiB a second, less than any network that is still in use.
READ_LEAST: Final = 16 * 1024
_NO_BODY: Final = (204, 304)
_BLANK: Final = b"\r\n"  # the line between head and body


def _nothing(*_: object) -> None:
    """Replaces `write` and `close` of a connection that is gone."""


class Outgoing(FlowControl):
    """uvicorn's flow control, and the transport that it writes to, in one object.

    `closed` is called when uvicorn wants to close the transport after an answer. It is
    the protocol that decides, and that calls `end`.
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
        """Stop reading until `release`, even if uvicorn wants to go on."""
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
        """Send what was written, then close.

        With `linger`, bytes that still arrive are read for a while. Otherwise the
        connection would be reset, and the client might never see the answer (RFC 9112
        §9.6).
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
        """The connection is gone: write nothing more, and keep no reference cycle."""
        self._unwatch()
        self.write = self.close = _nothing
        super().resume_writing()

    def _watch(self) -> None:
        """From now on the client has to read what was written, or it is cut off."""
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
    """uvicorn's request and answer, with another way to write the head of the answer.

    uvicorn checks each field by two regular expressions, which was measured to take a
    twentieth of a refresh. Here the whole head is checked at once. And it is written
    with the body, because each write costs a system call and a packet.
    """

    _unsent = b""  # the head, until the first part of the body comes

    async def send(self, message: Any) -> None:  # noqa: ANN401 - as uvicorn's own
        if self.waiting_for_100_continue and self.more_body:
            # The client was answered without a 100. It may now send the body or its
            # next request, and the two cannot be told apart: so the connection is
            # closed (RFC 9110 §10.1.1).
            self.keep_alive = False
        if self.response_started or self.disconnected or self.flow.write_paused:
            await super().send(self._with_head(message) if self._unsent else message)
            return
        if message["type"] != "http.response.start":
            raise RuntimeError("an answer begins with its head")
        self.response_started = True
        self.waiting_for_100_continue = False
        head = self._head(message["status"], message["headers"])
        if self.expected_content_length and self.scope["method"] != "HEAD":
            self._unsent = head
        else:  # there is no body, or it may be long in coming
            self.transport.write(head)

    def _with_head(self, message: Any) -> Any:  # noqa: ANN401 - as `send`
        """A part of the body, with the head before it."""
        head, self._unsent = self._unsent, b""
        self.expected_content_length += len(head)
        return {**message, "body": head + message.get("body", b"")}

    def _head(self, status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        """The head of the answer. Raises RuntimeError if a value would add a field.

        The names are in lower case, as everywhere in this application.
        """
        every = [*self.default_headers, *fields]
        known = dict(every)
        if (length := known.get(b"content-length")) is not None:
            self.expected_content_length = int(length)
            self.chunked_encoding = False
        lines = [b": ".join(field) for field in every]
        if b"connection" in known:  # nothing but `close` is ever said there
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close")
        has_body = self.scope["method"] != "HEAD" and status not in _NO_BODY
        if self.chunked_encoding is None and has_body:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked")
        head = STATUS_LINE[status] + b"\r\n".join([*lines, _BLANK])
        ends = len(lines) + 2
        if not head.count(b"\n") == head.count(b"\r") == ends:
            raise RuntimeError("a field of the answer has a line end in it")
        return head
