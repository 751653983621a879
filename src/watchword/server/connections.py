"""The connections of one process: near the limit the longest idle one makes room.

A caller could otherwise hold every file descriptor with connections that ask nothing,
and every other caller would be reset for as long as those stay.
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
    """What `Connections` asks of a connection."""

    def let_go(self) -> None:
        """Close it at once: it owes its client nothing."""


class Connections:
    """At most `most` of them; an idle one gives its place to a new one.

    Idle is one whose client is waited for: its TLS handshake is not complete, it has
    asked nothing yet, its request has not come whole, it does not read, or it has been
    answered. A client cannot keep its place by waiting. Every call costs one or two
    dict operations.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._open: set[Connection] = set()
        # In the order in which they became idle.
        self._idle: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, one: Connection) -> bool:
        """Count a new connection; False where there is no place, nor any to be made."""
        if self._most is not None and len(self._open) >= self._most:
            if not self._idle:
                return False
            longest = next(iter(self._idle))
            self.closed(longest)
            longest.let_go()
        self._open.add(one)
        self._idle[one] = None
        return True

    def closed(self, one: Connection) -> None:
        """Forget a connection; one that was not counted is no fault."""
        self._open.discard(one)
        self._idle.pop(one, None)

    def answering(self, one: Connection) -> None:
        """A request has come whole: the connection is kept until it is answered."""
        self._idle.pop(one, None)

    def idle(self, one: Connection) -> None:
        """The client is waited for: every request is answered, or none can be yet."""
        if one in self._open:
            self._idle[one] = None


def most_connections(files: int) -> int:
    """How many connections a process that may open that many files takes."""
    kept_free = max(_KEPT_FREE_LEAST, files // _KEPT_FREE_SHARE)
    return min(max(_LEAST, files - kept_free), CONNECTIONS_MAX)
