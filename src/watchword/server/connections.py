"""The connections of one process: at the limit, the one idle for longest is closed.

Otherwise one caller could hold every file descriptor with connections on which it asks
nothing, and all other callers would be refused for as long as these stay open.
"""

from __future__ import annotations

from typing import Final, Protocol

from watchword.core.limits import CONNECTIONS_MAX

# File descriptors for what is no connection: the store's, the listening sockets, and
# connections that were let go in this turn of the loop.
_KEPT_FREE_LEAST: Final = 64
_KEPT_FREE_SHARE: Final = 8
_LEAST: Final = 16


class Connection(Protocol):
    """The method of a connection that `Connections` uses."""

    def abort(self) -> None:
        """Close the connection at once: its client is not owed an answer."""


class Connections:
    """Up to `most` open connections; an idle one gives its place to a new one.

    A connection is idle if the server waits for its client: the TLS handshake is not
    complete, no request has come whole, the client does not read, or the last request
    has been answered. A client cannot keep its place by waiting. Every call costs one
    or two dict operations.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._open: set[Connection] = set()
        # In the order in which they became idle.
        self._idle: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, one: Connection) -> bool:
        """Count a new connection. Returns False if all are busy and it has no place."""
        if self._most is not None and len(self._open) >= self._most:
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            self.closed(longest)
            longest.abort()
        self._open.add(one)
        self._idle[one] = None
        return True

    def closed(self, one: Connection) -> None:
        """Forget a connection; one that was not counted is ignored."""
        self._open.discard(one)
        self._idle.pop(one, None)

    def answering(self, one: Connection) -> None:
        """A request is complete: the connection is kept until it has been answered."""
        self._idle.pop(one, None)

    def idle(self, one: Connection) -> None:
        """The server waits for the client: there is no request that it could answer."""
        if one in self._open:
            self._idle[one] = None


def most_connections(files: int) -> int:
    """How many connections a process accepts that may open that many files."""
    kept_free = max(_KEPT_FREE_LEAST, files // _KEPT_FREE_SHARE)
    return min(max(_LEAST, files - kept_free), CONNECTIONS_MAX)
