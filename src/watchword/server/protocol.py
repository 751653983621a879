"""One connection: what may be sent over it, how much, and for how long.

uvicorn's own protocol ends a message where it offers an Upgrade, and takes trailers for
header fields. It limits neither what a client sends nor what a client leaves unread.
This protocol gives llhttp a part of one message at a time: a head, or a piece of a
body. Bytes behind a message are not parsed before its answer has been written. If
llhttp and this protocol disagree about where a message ends, the connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from watchword.server.connections import Connections
from watchword.server.deadlines import TimedProtocol
from watchword.server.heads import (
    FIELDS,
    HEAD_MAX,
    Refused,
    RequestLine,
    body_of,
    by_name,
    request_line,
    verdict_on,
    without_upgrade,
)
from watchword.server.outgoing import Exchange, Outgoing
from watchword.server.problems import (
    HEAD_TOO_LARGE,
    MALFORMED,
    REQUEST_TIMEOUT,
    TOO_MANY,
)
from watchword.server.read_buffer import READ_BUFFER

# If a request is answered before its body has come, this much of the rest is read so
# that the connection can be kept: twice the largest legitimate body.
UNREAD_MAX: Final = 64 * 1024

_END: Final = b"\r\n\r\n"
_BLANK: Final = b"\r\n"
_FAULTS: Final = (Refused, httptools.HttpParserError, httptools.HttpParserUpgrade)
_EMPTY_LINES: Final = re.compile(rb"\A(?:\r\n)+")
_log: Final = logging.getLogger("watchword.server")
_uvicorn: Final = logging.getLogger("uvicorn.error")


# Which part of a message comes next. _OVER: none, because the connection ends.
_HEAD, _BODY, _OVER = range(3)


class BoundedProtocol(TimedProtocol):
    """HTTP/1.1 for uvicorn: strict, one request at a time, bounded both ways."""

    connections_here = Connections()
    """All connections of the process. `serve` sets one with a limit in a subclass."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        loop = _loop or asyncio.get_running_loop()
        super().__init__(loop, config.timeout_keep_alive)
        self._config = config
        self._server = server_state
        self._app_state = app_state
        self._parser: Any = httptools.HttpRequestParser(self)
        self._state = _HEAD
        self._parsed_head = False
        self._keeps_alive = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._buffer = READ_BUFFER.view
        self._held = b""
        self._searched = 0
        # Of the message that is being received: the bytes that were no body
        # (_overhead); the bytes of its body that came after it had been answered
        # (_unread); the bytes to come of a body of known length (_to_come); the last
        # bytes of a body in chunks (_tail).
        self._overhead = self._unread = 0
        self._to_come: int | None = None
        self._tail = b""
        self._cycle: Exchange | None = None
        self._stops = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(cast("Any", self))
        self._out = Outgoing(self._transport, self.loop, self._end)
        self._local = get_local_addr(self._transport)
        self._client = get_remote_addr(self._transport)
        self._scheme = "https" if is_ssl(self._transport) else "http"
        self._arm()
        if not self.connections_here.opened(self):
            # Closed at once: a lingering close would hold the scarce file descriptor.
            self._state = _OVER
            self._disarm()
            self._transport.write(TOO_MANY)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.connections.discard(cast("Any", self))
        self.connections_here.closed(self)
        self._state = _OVER
        self._cancel_timers()
        self._out.lost()
        self._disconnect()
        # The parser holds methods of this object. Without it there is no reference
        # cycle, and all this is freed at once instead of by the garbage collector.
        self._parser = None

    def abort(self) -> None:
        self._transport.abort()

    def shutdown(self) -> None:
        """Called by uvicorn when it stops. A request that is under way is finished."""
        self._stops = True
        if self._state != _OVER and self._cycle is not None and self._is_busy():
            self._cycle.keep_alive = False
        else:
            self._transport.close()

    def pause_writing(self) -> None:
        self._out.pause_writing()
        self.connections_here.idle(self)  # the server waits for the client to read

    def resume_writing(self) -> None:
        self._out.resume_writing()
        if self._state == _HEAD and self._is_busy():
            self.connections_here.answering(self)

    # What is received

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._state == _OVER:
            return
        self._idle_until = None
        data = self._buffer[:nbytes].tobytes()
        self._held = self._held + data if self._held else data
        self._proceed()

    def _proceed(self) -> None:
        """Parse what was received, as far as it may be parsed now."""
        parsed = False
        try:
            while self._held:
                if self._state == _BODY:
                    self._parse_body()
                elif self._state == _OVER or self._is_busy() or not self._parse_head():
                    break
                parsed = True
        except _FAULTS as error:
            self._refuse(*verdict_on(error))
        if self._state == _OVER:
            return
        if self._state == _HEAD and self._is_busy():
            if self._held:  # the next request: no more is read before the answer
                self._out.hold()
        elif self._state == _HEAD and parsed and not self._held:
            self._rest()  # the request was answered before its end had come
        elif self._deadline is None:
            # A request that never comes whole must not keep the connection's place.
            self.connections_here.answering(self)
            self.connections_here.idle(self)
            self._arm()

    def _parse_head(self) -> bool:
        """Parse a head, if all of it is there. Raises Refused, HttpParserError.

        Returns whether it was there.
        """
        self._cycle = None
        held = self._held
        if held[0] in _BLANK:  # empty lines before a head are ignored (RFC 9112 §2.2)
            self._held = held = _EMPTY_LINES.sub(b"", held)
            if held in (b"", b"\r"):
                return False
        found = held.find(_END, max(0, self._searched - len(_END)))
        size = len(held) if found < 0 else found + len(_END)
        if size > HEAD_MAX:
            raise Refused(HEAD_TOO_LARGE, "the head is too large")
        if found < 0:
            self._searched = size
            if b"\n" in held or not held[:1].isupper():
                request_line(held)
            return False
        head, self._held, self._searched = held[:size], held[size:], 0
        line = request_line(head)
        self._overhead, self._headers, self._parsed_head = size, [], False
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            # llhttp reads no body of a request that offers another protocol. The offer
            # may be ignored (RFC 9110 §7.8), so the head is parsed again without it.
            plain = without_upgrade(head, self._headers)
            self._parser = httptools.HttpRequestParser(self)
            self._headers, self._state, self._parsed_head = [], _HEAD, False
            self._parser.feed_data(plain)
        self._begin(line)
        return True

    def _parse_body(self) -> None:
        """Parse bytes of this body, and not a byte behind it. Raises Refused."""
        if self._to_come is None:
            self._parse_chunks()
            return
        held, size = self._held, min(self._to_come, len(self._held))
        self._held = held[size:]
        self._to_come -= size
        self._parser.feed_data(held[:size])
        if (self._to_come > 0) != (self._state == _BODY):
            raise Refused(MALFORMED, "the body does not end where it seems to")

    def _parse_chunks(self) -> None:
        """Parse a body in chunks, piece by piece.

        Such a message ends with an empty line. Each piece ends with one too, so llhttp
        never gets bytes of the next message.
        """
        whole, begin = self._tail + self._held, len(self._tail)
        seen = memoryview(whole)
        while self._state == _BODY and begin < len(seen):
            found = whole.find(_END, max(0, begin - len(_END) + 1))
            end = len(seen) if found < 0 else found + len(_END)
            self._feed_chunks(seen[begin:end])
            begin = end
        self._tail, self._held = whole[:begin][1 - len(_END) :], whole[begin:]

    def _feed_chunks(self, piece: memoryview) -> None:
        self._overhead += len(piece)
        self._parser.feed_data(piece)
        if self._overhead > HEAD_MAX:
            raise Refused(HEAD_TOO_LARGE, "trailers or chunk sizes are too large")

    # Callbacks of llhttp

    def on_message_begin(self) -> None:
        if self._state != _HEAD or self._parsed_head:
            raise Refused(MALFORMED, "a request begins inside of another one")

    def on_header(self, name: bytes, value: bytes) -> None:
        # A field behind the head is a trailer. Trailers are ignored, and must not be
        # taken for header fields (RFC 9110 §6.5.1).
        if not self._parsed_head:
            if value[-1:] <= b" ":  # llhttp leaves what is none of it (RFC 9110 §5.5)
                value = value.rstrip(b" \t")
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._parsed_head = True
        self._state = _BODY
        # Asked now, because llhttp forgets it at the end of the message.
        self._keeps_alive = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        if self._to_come is None:
            self._overhead -= len(body)
        cycle = self._cycle
        if cycle is None or cycle.response_complete:
            self._unread += len(body)
            if self._unread > UNREAD_MAX:
                raise Refused(MALFORMED, "the rest of the body is too large")
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self._out.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._state = _HEAD
        self._disarm()
        if self._cycle is not None and not self._cycle.response_complete:
            self._cycle.more_body = False
            self._cycle.message_event.set()
            self.connections_here.answering(self)

    # Requests and answers

    def _begin(self, line: RequestLine) -> None:
        """Give the request to the application. Raises Refused."""
        method, raw_path, query, version = line
        headers, self._headers = self._headers, []
        known = by_name(headers)
        length, expected = body_of(version, headers, known)
        # Without this check, bytes of the body could be taken for the next request.
        if not self._parsed_head or (length != 0) != (self._state == _BODY):
            raise Refused(MALFORMED, "the head does not end where it seems to")
        self._to_come = length
        self._tail, self._unread = b"", 0
        path = raw_path.decode("ascii")
        scope: Any = {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self._local,
            "client": self._client,
            "scheme": self._scheme,
            "root_path": "",
            "headers": headers,
            "state": self._app_state.copy(),
            "method": method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            FIELDS: (headers, known),
        }
        if self._state == _HEAD:
            self.connections_here.answering(self)
        self._cycle = cycle = Exchange(
            scope=scope,
            transport=self._out,  # type: ignore[arg-type]  # what it has of one
            flow=self._out,
            logger=_uvicorn,
            access_logger=_uvicorn,
            access_log=False,
            default_headers=self._server.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expected,
            keep_alive=version == "1.1" and self._keeps_alive,
            on_response=self._on_response,
        )
        cycle.more_body = self._state == _BODY
        if not cycle.more_body:
            cycle.message_event.set()
        task = self.loop.create_task(cycle.run_asgi(self._config.loaded_app))
        task.add_done_callback(self._server.tasks.discard)
        self._server.tasks.add(task)

    def _is_busy(self) -> bool:
        return self._cycle is not None and not self._cycle.response_complete

    def _on_response(self) -> None:
        self._server.total_requests += 1
        self.connections_here.idle(self)
        if self._state == _OVER:
            return
        if self._out.read_paused:
            self._out.release()
        if self._held:
            self._proceed()
        elif self._state == _HEAD:
            self._rest()

    def _refuse(self, answer: bytes, reason: str) -> None:
        """Send that answer, unless another has begun, and end the connection.

        `reason` is for the log.
        """
        _log.info("%s refused: %s", self._client[0] if self._client else "-", reason)
        if not self._out.is_closing():
            if self._cycle is None or not self._cycle.response_started:
                self._transport.write(answer)
            self._disconnect()
        self._end()

    def _end(self) -> None:
        self._state = _OVER
        self._disarm()
        self._held = b""
        self.connections_here.idle(self)  # the client is not owed an answer any more
        self._out.end(linger=not self._stops)

    def _disconnect(self) -> None:
        """Tell the application that the client has gone."""
        if self._cycle is not None:
            if not self._cycle.response_complete:
                self._cycle.disconnected = True
            self._cycle.message_event.set()

    # Time limits

    def _too_late(self) -> None:
        self._refuse(REQUEST_TIMEOUT, "it took too long to send the request")

    def _rest(self) -> None:
        """Wait for the next request: all are answered, and none has begun to come."""
        # The cycle is freed with all that it holds, since most connections are resting.
        self._cycle = None
        self._await_next()
