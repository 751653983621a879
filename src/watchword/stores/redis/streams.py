"""The streams beside the sessions: the feed of ended sessions, and the outbox.

Both are written by the script that changes the session. Entries of the feed stay until
they expire. Events stay in the outbox until the store of records has adopted them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final
from zlib import crc32

import msgspec

from watchword.clocks import Entropy
from watchword.errors import StoreUnavailable
from watchword.ports.audit import AuditLog
from watchword.ports.sessions import Cursor, FeedPage
from watchword.stores.redis.keys import BUCKETS, Keys
from watchword.stores.redis.rows import entry_of, event_of
from watchword.stores.redis.scripts import Request
from watchword.stores.redis.servers import Servers

OVERLAP: Final = 10_000
"""Milliseconds by which the clocks of the servers may differ."""
_FIRST: Final = (b"0-0",) * BUCKETS
STEP: Final = 200
"""How many events are read from each bucket at a time."""
ADOPTED: Final = 500
"""How many events are written to the audit log in one transaction."""


class Entry(msgspec.Struct, frozen=True):
    """An entry of a stream: its place, its content, and when it was written (µs)."""

    bucket: int
    place: bytes
    at: int
    value: bytes


class Streams:
    """Implements `SessionStore.ended`, and moves events to the store of records."""

    _servers: Servers
    _keys: Keys
    _entropy: Entropy
    _records: AuditLog

    async def ended(self, after: Cursor | None, now: int, limit: int) -> FeedPage:
        asked = after or Cursor(b"", 0)
        life, clock, entries = await self._read_feed(_places(asked), limit)
        honoured = asked.incarnation == life and asked.sequence <= clock
        if after is not None and not honoured:
            asked = Cursor(b"", 0)
            life, clock, entries = await self._read_feed(_places(asked), limit)
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
            return FeedPage(found, Cursor(life, begun, within), now, more=True)
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
        return FeedPage(found, Cursor(life, sequence), now)

    async def _read_feed(
        self, places: Sequence[bytes], limit: int
    ) -> tuple[bytes, int, list[Entry]]:
        """The store's incarnation, the slowest server's clock, and the entries."""
        keys = self._keys
        clocks = [
            Request(slot, ("TIME",), repeatable=True)
            for slot in {self._servers.node_of(one): one for one in keys.slots}.values()
        ]
        reading = self._reading(keys.feed, places, _share(limit))
        life, *told = await self._servers.ask(
            keys.request("GET", keys.life), *clocks, *reading
        )
        life = life or await self.life()
        times = [int(s) * 1000 + int(us) // 1000 for s, us in told[: len(clocks)]]
        return life, min(times), _entries(keys.feed, told[len(clocks) :])

    async def life(self) -> bytes:
        """The store's incarnation. A new one is drawn where the store has none."""
        name, request = self._keys.life, self._keys.request
        (life,) = await self._servers.ask(request("GET", name))
        if life is None:
            await self._servers.ask(request("SET", name, self._entropy(8), "NX"))
            (life,) = await self._servers.ask(request("GET", name))
        if life is None:  # the server was emptied between the two commands
            raise StoreUnavailable
        whole: bytes = life
        return whole

    async def drain(self) -> None:
        """Move events to the audit log, until the outboxes are empty.

        Each event comes with its place in the outbox. A process that is cut off before
        the deletion, or runs at the same time as another one, hands over events that
        are in the log already; they are recognised by their place. The checksum in the
        place tells an event from another one that a new master wrote at the place of an
        event that was lost.
        """
        outbox = self._keys.outbox
        while entries := _entries(
            outbox, await self._servers.ask(*self._reading(outbox, _FIRST, STEP))
        ):
            entries.sort(key=attrgetter("at"))
            # Some at a time, because other calls wait for that store to write.
            for begin in range(0, len(entries), ADOPTED):
                some = entries[begin : begin + ADOPTED]
                await self._records.adopt(
                    [
                        (
                            f"{one.bucket}.{one.place.decode()}.{crc32(one.value):08x}",
                            event_of(one.value),
                        )
                        for one in some
                    ]
                )
                await self._delete_entries(outbox, some)

    async def _sweep_feed(self, now: int, limit: int) -> int:
        """Delete expired entries among the `limit` oldest ones; returns how many."""
        feed = self._keys.feed
        told = await self._servers.ask(*self._reading(feed, _FIRST, _share(limit)))
        entries = _entries(feed, told)
        past = [entry for entry in entries if entry_of(entry.value).until <= now]
        return await self._delete_entries(feed, past)

    async def _delete_entries(
        self, names: Sequence[bytes], entries: Iterable[Entry]
    ) -> int:
        places: dict[bytes, list[bytes]] = {}
        for entry in entries:
            places.setdefault(names[entry.bucket], []).append(entry.place)
        deleting = [
            self._keys.request("XDEL", name, *those) for name, those in places.items()
        ]
        return sum(await self._servers.ask(*deleting)) if deleting else 0

    def _reading(
        self, names: Sequence[bytes], places: Sequence[bytes], limit: int
    ) -> list[Request]:
        """The requests for entries after these places, `limit` from each stream."""
        step = 1 if not self._servers.together else len(names)
        return [
            Request(
                self._keys.slots[one],
                (
                    *("XREAD", "COUNT", limit, "STREAMS"),
                    *names[one : one + step],
                    *places[one : one + step],
                ),
                repeatable=True,
            )
            for one in range(0, len(names), step)
        ]


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


def _entries(names: Sequence[bytes], answers: Iterable[Any]) -> list[Entry]:
    """The entries in the answers to `_reading`."""
    found: list[Entry] = []
    for streams in answers:
        for name, rows in streams or ():
            bucket = names.index(name)
            for place, (at, value) in rows:
                found.append(Entry(bucket, place, int(at), value))
    return found
