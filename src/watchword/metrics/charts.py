"""The figures of each minute: which series the charts of the console are drawn from.

Each is a `Stat` by its name and one label. There are STATS_MAX of them at most: no
label is one that callers can make up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final

from watchword.metrics.catalog import Counter, Histogram, full_name
from watchword.metrics.pages import Entry


class Figure(StrEnum):
    """The name of a series, and what its label says. All are counts but the levels."""

    SIGN_INS = "sign_ins"
    """By result: see `sign_ins_total`."""
    REFRESHES = "refreshes"
    """By verdict: see `refreshes_total`. Rewinds are the verdict `rewound`."""
    REUSE = "token_reuse"
    """Without a label."""
    REFRESH_LATENCY = "refresh_latency"
    """By bucket: one of LATENCY_BUCKETS. Those of the bucket alone."""
    REVOCATION_REACH = "revocation_reach"
    """By bucket: one of REACH_BUCKETS. Those of the bucket alone."""
    THROTTLED = "throttled"
    """By kind: see `throttled_total`."""
    MAIL = "mail"
    """By result: sent, tried_again, given_up, dropped."""
    NEW_ACCOUNTS = "new_accounts"
    """Without a label."""
    SESSIONS_LIVE = "sessions_live"
    """A level: sessions that are alive."""
    ACCOUNTS = "accounts"
    """A level."""
    WITH_FACTOR = "with_factor"
    """A level: accounts with a second factor."""
    HASH_QUEUE = "hash_queue"
    """A level: the most passwords that have waited in one process."""


LEVELS: Final = frozenset(
    (Figure.SESSIONS_LIVE, Figure.ACCOUNTS, Figure.WITH_FACTOR, Figure.HASH_QUEUE)
)
"""Figures of which the greatest of a minute is kept. They are not summed."""

REST: Final = "+Inf"
LATENCY_BOUNDS: Final = Histogram.HTTP_DURATION.bounds[:-1]
REACH_BOUNDS: Final = Histogram.REVOCATION_REACH.bounds
LATENCY_BUCKETS: Final = (*map(str, LATENCY_BOUNDS), REST)
"""The upper bounds of the buckets in seconds, as labels."""
REACH_BUCKETS: Final = (*map(str, REACH_BOUNDS), REST)
REFRESH_ROUTES: Final = frozenset(("/api/auth/refresh", "/oauth/token"))

_BY_LABEL: Final = {
    full_name(Counter.SIGN_INS): (Figure.SIGN_INS, "result"),
    full_name(Counter.REFRESHES): (Figure.REFRESHES, "verdict"),
    full_name(Counter.THROTTLED): (Figure.THROTTLED, "kind"),
    full_name(Counter.MAIL): (Figure.MAIL, "result"),
}
_REUSE: Final = full_name(Counter.TOKEN_REUSE)
_EVENTS: Final = full_name(Counter.EVENTS)
_REACH: Final = full_name(Histogram.REVOCATION_REACH)
_DURATION: Final = full_name(Histogram.HTTP_DURATION)
_CREATED: Final = "user_created"


def counts_of(
    series: Iterable[tuple[Entry, Sequence[float]]],
) -> Mapping[tuple[Figure, str], int]:
    """What a page has counted so far, by figure and label, but for levels."""
    found: Counts[tuple[Figure, str]] = Counts()
    for entry, numbers in series:
        labels = dict(entry.labels)
        if entry.name in _BY_LABEL:
            figure, label = _BY_LABEL[entry.name]
            found[figure, labels.get(label, "")] += int(numbers[0])
        elif entry.name == _REUSE:
            found[Figure.REUSE, ""] += int(numbers[0])
        elif entry.name == _EVENTS and labels.get("type") == _CREATED:
            found[Figure.NEW_ACCOUNTS, ""] += int(numbers[0])
        elif entry.name == _REACH:
            found.update(
                _buckets(Figure.REVOCATION_REACH, entry, numbers, REACH_BOUNDS)
            )
        elif entry.name == _DURATION and labels.get("route") in REFRESH_ROUTES:
            found.update(
                _buckets(Figure.REFRESH_LATENCY, entry, numbers, LATENCY_BOUNDS)
            )
    return found


def _buckets(
    figure: Figure, entry: Entry, numbers: Sequence[float], bounds: Sequence[float]
) -> Mapping[tuple[Figure, str], int]:
    labels = (*map(str, bounds), REST)
    found: Counts[tuple[Figure, str]] = Counts()
    for bound, number in zip((*entry.bounds, float("inf")), numbers, strict=False):
        found[figure, labels[bisect_left(bounds, bound)]] += int(number)
    return found
