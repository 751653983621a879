"""The numbers of all processes of a server, in memory that they share.

The supervisor makes the memory, a page for each process that there may be at a time,
and a few more. Only one process writes to a page: so nothing is locked. A process that
gets the page of one that has ended goes on from its numbers: so no counter falls, and
none is lost. What is shown is the sum of all pages.

A page describes itself: each series is an entry with its name and its labels, behind
which its numbers are. The processes may run different versions of this code while they
are replaced. An entry is written before the length of the page says that it is there:
what a process has begun as it was killed is written over by the next one.
"""

from __future__ import annotations

import contextlib
import logging
import math
import mmap
import os
import struct
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec

from watchword.metrics.catalog import (
    OTHER,
    Counter,
    Gauge,
    Histogram,
    Metric,
    full_name,
)

_MAGIC: Final = b"watchwo1"
_HEAD: Final = 4096
"""The head of the memory: what it is, the length of a page, the number of pages."""
PAGE_BYTES: Final = 1 << 20
"""Of one page. Memory is taken only for what is written."""
_PAGE_HEAD: Final = 64
_USED, _LIVE = 0, 1
_NUMBER: Final = 8
_ENTRY: Final = struct.Struct("<II")
"""In front of an entry: its length, and that of its description."""
SERIES_MAX: Final = 2_000
"""Of one metric in one process; what comes beyond is counted as `other`."""
_RESERVE: Final = 16_384
"""Bytes of a page that are kept for the series `other`."""
_SPARE: Final = 512
"""Bytes at the end of a page for what has no place at all."""
LABEL_MAX: Final = 100
_log = logging.getLogger("watchword.metrics")


class Kind(StrEnum):
    """What the numbers of an entry are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    MARK = "mark"
    """A number that is not shown: it is for the process that has the page next."""


class Entry(msgspec.Struct, frozen=True):
    """One series as a page describes it.

    A histogram has a number for each of its bounds, one for what lies above them all,
    and the sum of its values.
    """

    kind: Kind
    name: str
    labels: tuple[tuple[str, str], ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1


class Pages:
    """The memory of all processes of a server. See `Pages.make` and `Pages.opened`."""

    def __init__(self, memory: mmap.mmap) -> None:
        magic, size, slots = struct.unpack_from("<8sQQ", memory)
        if magic != _MAGIC:
            raise ValueError("this is not the memory of a server of this version")
        self._memory = memory
        self._size, self.slots = size, slots
        self._readers = [_Reader(self._view(slot)) for slot in range(slots)]

    @classmethod
    def alone(cls) -> Pages:
        """Memory for the one process of a server."""
        # Private: a process that is forked from this one has numbers of its own.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return cls(_formatted(mmap.mmap(-1, _HEAD + PAGE_BYTES, flags=flags), 1))

    @classmethod
    def make(cls, slots: int) -> tuple[int, Pages]:
        """Memory for that many processes, and the file by which they open it."""
        length = _HEAD + slots * PAGE_BYTES
        if hasattr(os, "memfd_create"):
            file = os.memfd_create("watchword-metrics")
        else:
            with tempfile.TemporaryFile() as nameless:
                file = os.dup(nameless.fileno())
        os.ftruncate(file, length)
        return file, cls(_formatted(mmap.mmap(file, length), slots))

    @classmethod
    def opened(cls, file: int) -> Pages:
        """The memory that another process has made. Raises OSError, ValueError."""
        return cls(mmap.mmap(file, 0))

    def page(self, slot: int) -> Page:
        """The page of that number, for the process that writes to it from now on."""
        return Page(self._view(slot))

    def retire(self, slot: int) -> None:
        """Say that the process of that page has ended: its gauges count no more."""
        self._view(slot).cast("Q")[_LIVE] = 0

    def read(self) -> Iterator[tuple[Entry, list[float]]]:
        """Every series of every page, with its numbers as they are now.

        Gauges only of processes that live.
        """
        for reader in self._readers:
            yield from reader.read()

    def _view(self, slot: int) -> memoryview:
        start = _HEAD + slot * self._size
        return memoryview(self._memory)[start : start + self._size]


def _formatted(memory: mmap.mmap, slots: int) -> mmap.mmap:
    struct.pack_into("<8sQQ", memory, 0, _MAGIC, PAGE_BYTES, slots)
    return memory


class _Reader:
    """Reads one page. Its descriptions are read once: they do not change."""

    def __init__(self, page: memoryview) -> None:
        self._page = page
        self._heads = page.cast("Q")
        self._numbers = page.cast("d")
        self._known: list[tuple[Entry, int]] = []
        self._end = _PAGE_HEAD

    def entries(self) -> list[tuple[Entry, int]]:
        """Each entry, and the place of its first number."""
        used = self._heads[_USED]
        while self._end < used:
            length, described = _ENTRY.unpack_from(self._page, self._end)
            start = self._end + _ENTRY.size
            if length < _ENTRY.size + described or self._end + length > used:
                break  # not of this version, or not whole yet
            text = self._page[start : start + described]
            with contextlib.suppress(msgspec.ValidationError):  # of a later version
                entry = msgspec.json.decode(text, type=Entry)
                place = (self._end + length) // _NUMBER - entry.size
                self._known.append((entry, place))
            self._end += length
        return self._known

    def read(self) -> Iterator[tuple[Entry, list[float]]]:
        is_live = self._heads[_LIVE] != 0
        for entry, place in self.entries():
            numbers: list[Any] = self._numbers[place : place + entry.size].tolist()
            is_shown = entry.kind is not Kind.GAUGE or is_live
            if is_shown and not math.isnan(numbers[0]):
                yield entry, numbers


class Page:
    """Counts and observes in one page. Implements `Metrics`.

    Only one process has it, and only the thread of its event loop writes to it.
    """

    def __init__(self, page: memoryview) -> None:
        self._page = page
        self._heads = page.cast("Q")
        self.numbers = page.cast("d")
        if not self._heads[_USED]:
            self._heads[_USED] = _PAGE_HEAD
        self._reader = _Reader(page)
        self._places: dict[Entry, int] = {}
        self._counters: list[dict[tuple[str, ...], int]] = [{} for _ in Counter]
        self._histograms: list[dict[tuple[str, ...], int]] = [{} for _ in Histogram]
        self._series: dict[str, int] = {}
        self._warned = False
        for entry, place in self._reader.entries():
            self._places[entry] = place
            self._series[entry.name] = self._series.get(entry.name, 0) + 1
            if entry.kind is Kind.GAUGE:  # of the process that had this page before
                self.numbers[place] = math.nan
        for metric in (*Counter, *Histogram):
            if not metric.labels:  # shown before anything was counted
                self.place(metric)
        self._heads[_LIVE] = 1

    def count(self, metric: Counter, *labels: str, n: float = 1) -> None:
        """See `Metrics`."""
        place = self._counters[metric.place].get(labels)
        self.numbers[place or self.place(metric, *labels)] += n

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        """See `Metrics`."""
        bounds = metric.bounds
        place = self._histograms[metric.place].get(labels)
        place = place or self.place(metric, *labels)
        self.numbers[place + bisect_left(bounds, value)] += 1
        self.numbers[place + len(bounds) + 1] += value

    def set(self, metric: Gauge, value: float, *labels: str) -> None:
        """Write a gauge of this process. NaN: there is none."""
        self.numbers[self.place(metric, *labels)] = value

    def place(self, metric: Metric, *labels: str) -> int:
        """The place in `numbers` of the first one of a series.

        The series is made if need be, or is that of `other` where there is no room.
        """
        kind, known = Kind.GAUGE, dict[tuple[str, ...], int]()
        if isinstance(metric, Counter):
            kind, known = Kind.COUNTER, self._counters[metric.place]
        elif isinstance(metric, Histogram):
            kind, known = Kind.HISTOGRAM, self._histograms[metric.place]
        return self._placed(kind, metric, labels, known)

    def mark(self, name: str, label: str, value: float) -> None:
        """Note a number for the process that has this page next. See `marks`."""
        entry = Entry(Kind.MARK, name, (("label", label),))
        place = self._places.get(entry)
        if place is None and self._has_room(entry):
            place = self._add(entry)
        if place is not None:
            self.numbers[place] = value

    def marks(self) -> Iterator[tuple[str, str, float]]:
        """Name, label and number of each mark, also of earlier processes."""
        for entry, (number, *_) in self.read():
            if entry.kind is Kind.MARK:
                yield entry.name, entry.labels[0][1], number

    def read(self) -> Iterator[tuple[Entry, list[float]]]:
        """Every series of this page, with its numbers as they are now."""
        return self._reader.read()

    def _placed(
        self,
        kind: Kind,
        metric: Metric,
        labels: tuple[str, ...],
        known: dict[tuple[str, ...], int],
    ) -> int:
        """The place of the numbers of that series, which is made if need be."""
        name = full_name(metric)
        bounds = metric.bounds if isinstance(metric, Histogram) else ()
        values = [label[:LABEL_MAX] for label in labels]
        named = tuple(zip(metric.labels, values, strict=False))
        entry = Entry(kind, name, named, bounds)
        place = self._places.get(entry)
        if place is None and self._has_room(entry):
            place = self._add(entry)
        if place is None:
            return self._other(entry)
        if len(known) < SERIES_MAX:
            known[labels] = place
        return place

    def _has_room(self, entry: Entry) -> bool:
        left = len(self._page) - self._heads[_USED] - len(_described(entry))
        is_other = all(value == OTHER for _, value in entry.labels)
        is_one_more = self._series.get(entry.name, 0) < SERIES_MAX
        if left >= (_SPARE if is_other else _RESERVE) and (is_other or is_one_more):
            return True
        if not self._warned:
            self._warned = True
            _log.warning("more series of %s than are kept: see `other`", entry.name)
        return False

    def _other(self, entry: Entry) -> int:
        """Where a series is counted for which there is no room."""
        labels = tuple((name, OTHER) for name, _ in entry.labels)
        other = msgspec.structs.replace(entry, labels=labels)
        place = self._places.get(other)
        if place is None and self._has_room(other):
            place = self._add(other)
        # The last numbers of a page are of no series.
        return len(self.numbers) - entry.size if place is None else place

    def _add(self, entry: Entry) -> int:
        described, start = _described(entry), self._heads[_USED]
        self._page[start : start + len(described)] = described
        # From here on the entry is there.
        self._heads[_USED] = start + len(described)
        place = (start + len(described)) // _NUMBER - entry.size
        self._places[entry] = place
        self._series[entry.name] = self._series.get(entry.name, 0) + 1
        return place


def _described(entry: Entry) -> bytes:
    """The entry as bytes, all its numbers zero. A multiple of `_NUMBER`."""
    text = msgspec.json.encode(entry)
    padding = -len(text) % _NUMBER
    length = _ENTRY.size + len(text) + padding + entry.size * _NUMBER
    head = _ENTRY.pack(length, len(text))
    return head + text + bytes(padding + entry.size * _NUMBER)
