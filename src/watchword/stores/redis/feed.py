"""The feed of ended sessions: streams that the scripts write which end a session.

An entry stays until it expires.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from watchword.clocks import Entropy
from watchword.errors import StoreUnavailable
from watchword.ports.sessions import Cursor, FeedPage
from watchword.stores.redis.keys import BUCKETS, Keys
from watchword.stores.redis.rows import entry_of
from watchword.stores.redis.scripts import Request
from watchword.stores.redis.servers import Servers
from watchword.stores.redis.streams import Entry, Streams

OVERLAP: Final = 10_000
"""Milliseconds by which the clocks of the servers may differ."""


class Feed:
    """Implements `SessionStore.ended`. Knows the store's incarnation."""

    def __init__(self, servers: Servers, keys: Keys, entropy: Entropy) -> None:
        self._servers = servers
        self._keys = keys
        self._entropy = entropy
        self._streams = Streams(servers, keys, keys.feed)

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        asked = after or Cursor(b"", 0)
        incarnation, clock, entries = await self._read_feed(_places(asked), limit)
        honoured = asked.incarnation == incarnation and asked.sequence <= clock
        if after is not None and not honoured:
            asked = Cursor(b"", 0)
            incarnation, clock, entries = await self._read_feed(_places(asked), limit)
        # By the slowest server's clock. Entries written after this are left for the
        # next read.
        begun = asked.sequence if asked.within else clock
        reached = _places(asked)
        for entry in entries:
            reached[entry.bucket] = entry.place
        shares = Counter(entry.bucket for entry in entries)
        found = [entry_of(entry.value) for entry in entries]
        if max(shares.values(), default=0) == _share(limit):
            within = b" ".join(reached)
            return FeedPage(found, Cursor(incarnation, begun, within), now, more=True)
        # If the clocks of the servers agree, an entry that is written later gets a
        # place after the newest one. If they nearly agree, its place is within the
        # overlap. That also holds when a master with another clock takes over.
        newest = max(map(_since, reached))
        if entries or asked.within:
            # When no entry has been written for some time, the cursor moves on past the
            # newest one, so that it is not read again and again.
            quiet = clock - newest >= 2 * OVERLAP
            sequence = min(begun, newest + OVERLAP if quiet else newest)
        else:  # no new entry: a cursor that was honoured stays good
            sequence = asked.sequence
        return FeedPage(found, Cursor(incarnation, sequence), now)

    async def _read_feed(
        self, places: Sequence[bytes], limit: int
    ) -> tuple[bytes, int, list[Entry]]:
        """The store's incarnation, the slowest server's clock, and the entries."""
        keys = self._keys
        clocks = [
            Request(slot, ("TIME",), repeatable=True)
            for slot in {self._servers.node_of(one): one for one in keys.slots}.values()
        ]
        reading = self._streams.reading(places, _share(limit))
        incarnation, *answers = await self._servers.ask(
            keys.request("GET", keys.incarnation), *clocks, *reading
        )
        incarnation = incarnation or await self.incarnation()
        times = [int(s) * 1000 + int(us) // 1000 for s, us in answers[: len(clocks)]]
        return incarnation, min(times), self._streams.entries(answers[len(clocks) :])

    async def incarnation(self) -> bytes:
        """The store's incarnation. A new one is drawn where the store has none."""
        name, request = self._keys.incarnation, self._keys.request
        (incarnation,) = await self._servers.ask(request("GET", name))
        if incarnation is None:
            await self._servers.ask(request("SET", name, self._entropy(8), "NX"))
            (incarnation,) = await self._servers.ask(request("GET", name))
        if incarnation is None:  # the server was emptied between the two commands
            raise StoreUnavailable
        drawn: bytes = incarnation
        return drawn

    async def sweep(self, now: int, limit: int) -> int:
        """Delete expired entries among the `limit` oldest ones; returns how many."""
        entries = await self._streams.first(_share(limit))
        past = [entry for entry in entries if entry_of(entry.value).until <= now]
        return await self._streams.delete(past)


def _places(cursor: Cursor) -> list[bytes]:
    """The place in each bucket after which to read on.

    A new read begins a little before its cursor, because the clocks of servers differ.
    """
    if cursor.within:
        return cursor.within.split(b" ")
    return [b"%d-0" % max(0, cursor.sequence - OVERLAP)] * BUCKETS


def _since(place: bytes) -> int:
    """The instant (ms) in a place. It never falls in a stream, even if a clock does."""
    return int(place.partition(b"-")[0])


def _share(limit: int) -> int:
    """How many entries of a page may come from one bucket."""
    return -(-limit // BUCKETS)
