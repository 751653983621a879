"""What this process tells others about ended sessions: a journal, and who waits for it.

The journal has the entries of the process's own revocation set, in the order in which
they came to be known here, each with a sequence number of this process. A follower
reads on from a cursor, `<incarnation>.<sequence>`; the incarnation is drawn anew for
each process, so that a cursor of another one, or of before a restart, is recognised as
foreign and answered with all there is. Who is answered by several processes in turn may
name a cursor of each, separated by commas. Nothing is looked up in the store for it.

Entries leave from the front, once no access token of theirs can be left. A follower
whose cursor lies before the front has missed nothing that still matters, and is told
that it reads from the beginning.
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
    """Entries after a cursor, and what this process knew when it was made.

    `now` and `complete_as_of` are of its monotonic clock, in milliseconds: all that
    ended before the latter is in here or was in earlier pages, if there is no `more`.
    `complete`: it begins at the beginning.
    """

    cursor: str
    entries: Sequence[Ended]
    more: bool
    complete: bool
    now: int
    complete_as_of: int


class Journal:
    """The entries since this process began. `incarnation` is 32 random hex digits.

    `monotonic` gives milliseconds; `complete_as_of` tells, by that clock, when the
    process's own read of the feed was last complete, None where it is not current.
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
        # Sequences have no gaps: the place of an entry is its sequence less the first.
        self._entries: list[tuple[Ended, int]] = []
        self._first = 1
        self._news = asyncio.Event()
        self._open = 0
        self._of_client: Counter[str] = Counter()
        self._of_network: Counter[str] = Counter()
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_closed(self) -> bool:
        """Whether this process is about to stop."""
        return self._closed

    def add(self, entries: Sequence[Ended]) -> None:
        """What has become known here just now, none of it said before."""
        here = self._monotonic()
        self._entries += [(one, here + one.until - one.at) for one in entries]
        self._wake()

    def forget_expired(self, now: int) -> None:
        """Drop what lies at the front and is over by either clock."""
        here, over = self._monotonic(), 0
        for entry, until in self._entries:
            if entry.until > now or until > here:
                break
            over += 1
        del self._entries[:over]
        self._first += over

    def page(self, after: str) -> Page:
        """What follows that cursor; all from the beginning where it is not one of ours.

        Raises StoreUnavailable where this process does not know itself what has ended.
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
        """The index of the entry that follows the cursor among these that is ours."""
        parsed = filter(None, map(_CURSOR.fullmatch, after.split(",")))
        ours = next((one for one in parsed if one[1] == self._incarnation), None)
        if ours is None:
            return None
        place = int(ours[2]) + 1 - self._first
        return place if 0 <= place <= len(self._entries) else None

    async def wait(self, after: str, seconds: float) -> None:
        """Until something follows that cursor, the time is over or the journal closes.

        At once for a cursor that is not one of ours.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._place(after) == len(self._entries) and not self._closed:
                    await self._news.wait()

    @contextlib.contextmanager
    def following(self, client_id: str, address: str) -> Iterator[None]:
        """One more that waits. Raises Overloaded where too many do.

        The first place of a client is its own, wherever it calls from, while there is
        any; for more it shares with the other clients, and with those of its network.
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
        """Let go of all who wait: the process is about to stop."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
