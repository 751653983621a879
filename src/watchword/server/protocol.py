"""What a connection may send, and for how long, before the application sees it.

uvicorn bounds neither the size of a request's head nor the time that a client takes to
send it: both are bounded here, so that slow or endless senders cost a socket for some
seconds and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from watchword.server.connections import Connections
from watchword.server.problems import (
    HEAD_TOO_LARGE,
    MALFORMED,
    REQUEST_TIMEOUT,
    TOO_MANY,
)

# RFC 9112 §3 asks for 8000 octets of request line at least; proxies send up to 32 KiB
# of head. What arrives in one read is bounded by the event loop's buffer (256 KiB).
HEAD_MAX: Final = 64 * 1024
SECONDS_TO_SEND: Final = 10


class BoundedProtocol(HttpToolsProtocol):
    """HttpToolsProtocol with a bound on the head and a deadline for the request."""

    connections_here = Connections()
    """Of the process; `serve` gives its class one with a limit."""

    _begun = False
    _head_complete = False
    _received = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._arm()
        if not self.connections_here.opened(self):
            self._refuse(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.connections_here.closed(self)
        super().connection_lost(exc)

    def let_go(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._begun:
            # Blank lines between requests end the wait for the next one, and begin
            # none: a sender of them alone would hold the connection for ever.
            if data.isspace() and self._deadline is None:
                self._arm()
            return
        # Only what did not come whole in one read gets here.
        self._received += len(data)
        if not self._head_complete and self._received > HEAD_MAX:
            self._refuse(HEAD_TOO_LARGE)
        elif self._deadline is None:
            self._arm()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun, self._head_complete, self._received = True, False, 0

    def on_headers_complete(self) -> None:
        self._head_complete = True
        self.connections_here.answering(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begun = False
        self._disarm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # no pipelined request follows
            self.connections_here.idle(self)

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse(MALFORMED)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(
            SECONDS_TO_SEND, self._refuse, REQUEST_TIMEOUT
        )

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, answer: bytes) -> None:
        self._disarm()
        if self.transport.is_closing():
            return
        if self._unanswered():
            self.transport.write(answer)
        self.transport.close()

    def _unanswered(self) -> bool:
        """Whether an answer now could only be taken for that of the refused request."""
        cycle: Any = self.cycle
        if cycle is None:
            return True
        if self._begun and self._head_complete:
            return not cycle.response_started
        # The head is not there yet: this is the cycle of an earlier request.
        return bool(cycle.response_complete)
