"""TLS handshakes under way: each is counted as a connection, and as an idle one.

A server of the event loop tells of a connection when its handshake is complete. Until
then a caller could hold every file descriptor with connections that send nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from watchword.server.connections import Connections
from watchword.server.deadlines import SECONDS_TO_SEND

# As long as asyncio pauses: what has not been accepted waits in the kernel's queue.
_PAUSE_SECONDS: Final = 1
_log: Final = logging.getLogger("watchword.server")

_Factory: TypeAlias = Callable[[], asyncio.BaseProtocol]


class TlsServer:
    """Serves TLS on one socket. uvicorn closes it as it does a server of asyncio."""

    def __init__(
        self,
        connections: Connections,
        factory: _Factory,
        listener: socket.socket,
        context: ssl.SSLContext,
    ) -> None:
        self._connections = connections
        self._factory = factory
        self._listener = listener
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on, one connection in each turn of the loop."""
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more, and end the handshakes: none of them has asked anything."""
        self._loop.remove_reader(self._listener)
        if self._pause is not None:
            self._pause.cancel()
        for task in self._handshakes:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until every handshake has ended."""
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another worker has it, or its client has gone
        except OSError as error:  # too many open files, or too little memory, for now
            _log.warning("no connection can be accepted now: %s", error.strerror)
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self.start)
            return
        accepted.settimeout(0)
        handshake = _Handshake(accepted, self._factory, self._connections)
        if not self._connections.opened(handshake):
            accepted.close()
            return
        task = handshake.start(self._loop, self._context)
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)


class _Handshake(asyncio.BaseProtocol):
    """Holds the place of a connection until its own protocol can."""

    _task: asyncio.Task[None] | None

    def __init__(
        self, accepted: socket.socket, factory: _Factory, connections: Connections
    ) -> None:
        self._socket = accepted
        self._factory = factory
        self._connections = connections
        self._complete = False

    def start(
        self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext
    ) -> asyncio.Task[None]:
        """The task ends when it is complete, has failed, or has taken too long."""
        self._task = loop.create_task(self._run(loop, context))
        self._task.add_done_callback(self._over)
        return self._task

    async def _run(
        self, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext
    ) -> None:
        with contextlib.suppress(OSError):  # what the client did wrong
            await loop.connect_accepted_socket(
                lambda: cast("asyncio.Protocol", self),
                self._socket,
                ssl=context,
                ssl_handshake_timeout=SECONDS_TO_SEND,
            )

    def _over(self, _: asyncio.Task[None]) -> None:
        self._task = None  # it holds this object, in turn
        self._connections.closed(self)
        if not self._complete:  # the task may not even have begun
            self._socket.close()

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is complete, and nothing of what was sent after it has been read."""
        self._complete = True
        self._connections.closed(self)
        protocol = self._factory()
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)


async def serve_tls(
    connections: Connections,
    factory: _Factory,
    *,
    sock: socket.socket,
    ssl: ssl.SSLContext,
    backlog: int,
) -> TlsServer:
    """The part of a loop's `create_server` that uvicorn asks for."""
    sock.settimeout(0)
    sock.listen(backlog)
    server = TlsServer(connections, factory, sock, ssl)
    server.start()
    return server
