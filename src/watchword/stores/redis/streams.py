"""Streams beside the sessions, one for each bucket: how they are read and emptied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from watchword.stores.redis.keys import BUCKETS, Keys
from watchword.stores.redis.scripts import Request
from watchword.stores.redis.servers import Servers

FIRST: Final = (b"0-0",) * BUCKETS
"""The places at which all streams begin."""


class Entry(msgspec.Struct, frozen=True):
    """An entry of a stream: its place, its content, and when it was written (µs)."""

    bucket: int
    place: bytes
    at: int
    value: bytes


class Streams:
    """The streams of these names, one for each bucket."""

    def __init__(self, servers: Servers, keys: Keys, names: Sequence[bytes]) -> None:
        self._servers = servers
        self._keys = keys
        self._names = names

    async def first(self, limit: int) -> list[Entry]:
        """The oldest entries, up to `limit` from each stream."""
        return self.entries(await self._servers.ask(*self.reading(FIRST, limit)))

    def reading(self, places: Sequence[bytes], limit: int) -> list[Request]:
        """The requests for entries after these places, `limit` from each stream."""
        step = len(self._names) if self._servers.spans_slots else 1
        return [
            Request(
                self._keys.slots[one],
                (
                    *("XREAD", "COUNT", limit, "STREAMS"),
                    *self._names[one : one + step],
                    *places[one : one + step],
                ),
                repeatable=True,
            )
            for one in range(0, len(self._names), step)
        ]

    def entries(self, answers: Iterable[Any]) -> list[Entry]:
        """The entries in the answers to `reading`."""
        found: list[Entry] = []
        for streams in answers:
            for name, rows in streams or ():
                bucket = self._names.index(name)
                for place, (at, value) in rows:
                    found.append(Entry(bucket, place, int(at), value))
        return found

    async def delete(self, entries: Iterable[Entry]) -> int:
        """Delete these entries; returns how many were there."""
        places: dict[bytes, list[bytes]] = {}
        for entry in entries:
            places.setdefault(self._names[entry.bucket], []).append(entry.place)
        deleting = [
            self._keys.request("XDEL", name, *those) for name, those in places.items()
        ]
        return sum(await self._servers.ask(*deleting)) if deleting else 0
