"""The log of ended sessions that a process keeps for those that follow it over HTTP.

It has the entries of the process's own revocation set, in the order in which the
process learned of them. Each has a sequence number of this process. A follower
reads on from a cursor, `<incarnation>.<sequence>`. The incarnation is drawn anew for
each process. So a cursor of another process, or from before a restart, is recognised as
foreign and answered with all entries. A follower that is answered by several processes
in turn may send a cursor of each, separated by commas. The store is not asked for any
of this.

Entries leave at the front, once no access token of their session can be valid any more.
A follower with a cursor before the front has missed nothing that still matters, and
is told that it reads from the beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from watchword.core import limits
from watchword.core.network import caller_of
from watchword.core.session import Ended
from watchword.errors import Overloaded, StoreUnavailable

_CURSOR: Final = re.compile(r"([0-9a-f]{32})\.(\d{1,15})", re.ASCII)


class Page(NamedTuple):
    """Entries after a cursor, and what this process knew when the page was made.

    `now` and `complete_as_of` are milliseconds of the process's monotonic clock. If
    there is no `more`, every session that ended before `complete_as_of` is in this page
    or was in an earlier one. `complete`: this page begins at the beginning.
    """

    cursor: str
    entries: Sequence[Ended]
    more: bool
    complete: bool
    now: int
    complete_as_of: int


class RevocationLog:
    """The entries since this process began. `incarnation` is 32 random hex digits.

    `monotonic` returns milliseconds. `complete_as_of` returns, by that clock, when the
    process itself last read the whole feed; None if that was too long ago.
    """

    def __init__(
        self,
        incarnation: str,
        monotonic: Callable[[], int],
        complete_as_of: Callable[[], int | None],
    ) -> None:
        self._incarnation = incarnation
        self._monotonic = monotonic
        self._complete_as_of = complete_as_of
        # Each entry, and the instant of the monotonic clock at which it is over. There
        # are no gaps: the index of an entry is its sequence less that of the first.
        self._entries: list[tuple[Ended, int]] = []
        self._first = 1
        self._new_entries = asyncio.Event()
        self._open = 0
        self._of_client: Counter[str] = Counter()
        self._of_network: Counter[str] = Counter()
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def followers(self) -> int:
        """How many connections follow now."""
        return self._open

    @property
    def is_closed(self) -> bool:
        """Whether this process is about to stop."""
        return self._closed

    def add(self, entries: Sequence[Ended]) -> None:
        """Append entries that this process has just learned of for the first time."""
        here = self._monotonic()
        self._entries += [(one, here + one.until - one.at) for one in entries]
        self._wake()

    def forget_expired(self, now: int) -> None:
        """Drop the entries at the front that are over by both clocks."""
        here, over = self._monotonic(), 0
        for entry, until in self._entries:
            if entry.until > now or until > here:
                break
            over += 1
        del self._entries[:over]
        self._first += over

    def page(self, after: str) -> Page:
        """The entries after that cursor; all, if it is not a cursor of this process.

        Raises StoreUnavailable if this process does not itself know what has ended.
        """
        complete_as_of = self._complete_as_of()
        if complete_as_of is None:
            raise StoreUnavailable
        place = self._place(after)
        end = (place or 0) + limits.FEED_PAGE
        entries = self._entries[place or 0 : end]
        last = self._first + (place or 0) + len(entries) - 1
        return Page(
            cursor=f"{self._incarnation}.{last}",
            entries=[entry for entry, _ in entries],
            more=end < len(self._entries),
            complete=place is None,
            now=self._monotonic(),
            complete_as_of=complete_as_of,
        )

    def _place(self, after: str) -> int | None:
        """The index of the entry after the cursor that is of this process.

        None where there is no such cursor, or where it lies outside of the log.
        """
        parsed = filter(None, map(_CURSOR.fullmatch, after.split(",")))
        ours = next((one for one in parsed if one[1] == self._incarnation), None)
        if ours is None:
            return None
        place = int(ours[2]) + 1 - self._first
        return place if 0 <= place <= len(self._entries) else None

    async def wait(self, after: str, seconds: float) -> None:
        """Wait until there is an entry after that cursor, for `seconds` at most.

        Returns early when the log closes. Returns at once for a cursor that is not
        of this process.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._place(after) == len(self._entries) and not self._closed:
                    await self._new_entries.wait()

    @contextlib.contextmanager
    def following(self, client_id: str, address: str) -> Iterator[None]:
        """A block that counts one more follower. Raises Overloaded if it is too many.

        Some places are kept for the first connection of each client, from whatever
        network it comes. Further connections of a client share the other places with
        all clients, and are limited per client and per network.
        """
        network = caller_of(address)
        most = limits.FEED_FOLLOWERS
        if self._of_client[client_id]:
            most -= limits.FEED_FIRST
            if self._of_client[client_id] >= limits.FEED_SHARE:
                raise Overloaded("Too many of this client follow the feed.")
            if self._of_network[network] >= limits.FEED_SHARE:
                raise Overloaded("Too many of this network follow the feed.")
        if self._open >= most:
            raise Overloaded("Too many follow the feed of this process.")
        self._count(client_id, network, +1)
        try:
            yield
        finally:
            self._count(client_id, network, -1)

    def _count(self, client_id: str, network: str, change: int) -> None:
        self._open += change
        for places, key in (self._of_client, client_id), (self._of_network, network):
            places[key] += change
            if not places[key]:
                del places[key]

    def close(self) -> None:
        """Wake all waiting followers: the process is about to stop."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._new_entries.set()
        self._new_entries = asyncio.Event()
