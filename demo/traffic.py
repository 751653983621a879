"""What eight days bring, minute by minute: the figures that charts are drawn from."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from watchword.core.limits import DAY, HOUR, MINUTE, STATS_KEPT
from watchword.metrics.charts import LATENCY_BUCKETS, REACH_BUCKETS, Figure
from watchword.ports.stats import Stat

_LATENCIES: Final = (0.38, 0.47, 0.11, 0.03, 0.006, 0.003, 0.0007, 0.0002, 0.0001)
"""The part of refreshes in each bucket, from the fastest; of the others there are none.
"""
_REACHES: Final = (0.3, 0.45, 0.2, 0.04, 0.01)
_RARE: Final = (
    # What, its label, how many in a day
    (Figure.THROTTLED, "sign_in", 60),
    (Figure.THROTTLED, "mail", 12),
    (Figure.THROTTLED, "confirm", 5),
    (Figure.REFRESHES, "expired", 700),
    (Figure.REFRESHES, "revoked", 260),
    (Figure.REFRESHES, "invalid", 40),
    (Figure.REFRESHES, "rewound", 2),
    (Figure.NEW_ACCOUNTS, "", 130),
)


class Minute(NamedTuple):
    """The figures of a minute."""

    counts: list[Stat]
    levels: list[Stat]


def busy(at: int) -> float:
    """How much is going on at an instant: 1 on average, least at night."""
    hour = at % DAY / HOUR
    weekday = (at // DAY + 3) % 7  # 0 is Monday
    day = 1 + 0.75 * math.sin((hour - 7) / 24 * 2 * math.pi)
    return day * (0.55 if weekday > 4 else 1.15)


def minutes(
    draw: random.Random, now: int, reuses: set[int], attack: tuple[int, int]
) -> Iterator[Minute]:
    """All that are over. `reuses` are the minutes in which a spent token came.

    Between the two instants of `attack` one network guesses passwords.
    """
    begin = (now - STATS_KEPT) // MINUTE * MINUTE + MINUTE
    end = now // MINUTE * MINUTE
    for at in range(begin, end, MINUTE):
        is_attacked = attack[0] <= at < attack[1]
        is_reused = at in reuses
        yield _minute(draw, at, now, is_reused=is_reused, is_attacked=is_attacked)


def _minute(
    draw: random.Random, at: int, now: int, *, is_reused: bool, is_attacked: bool
) -> Minute:
    load = busy(at)
    counts = [Stat(at, figure, label, n) for figure, label, n in _counted(draw, load)]
    if is_reused:
        counts.append(Stat(at, Figure.REUSE, "", 1))
        counts.append(Stat(at, Figure.REFRESHES, "reused", 1))
    if is_attacked:
        counts.append(Stat(at, Figure.SIGN_INS, "failed", draw.randrange(2, 9)))
        counts.append(Stat(at, Figure.SIGN_INS, "throttled", draw.randrange(3, 14)))
        counts.append(Stat(at, Figure.THROTTLED, "sign_in", draw.randrange(3, 14)))
    age = (now - at) / DAY
    live = 10_100 + 1_400 * load - 40 * age + draw.randrange(-20, 20)
    accounts = 10_000 - 128 * age
    queue = draw.randrange(3) if draw.random() < 0.1 * load else 0
    levels = [
        Stat(at, Figure.SESSIONS_LIVE, "", int(live)),
        Stat(at, Figure.ACCOUNTS, "", int(accounts)),
        Stat(at, Figure.WITH_FACTOR, "", int(accounts * (0.71 - 0.004 * age))),
        Stat(at, Figure.HASH_QUEUE, "", queue + (9 if is_attacked else 0)),
    ]
    return Minute(merged(counts), levels)


def merged(counts: list[Stat]) -> list[Stat]:
    """One row for each series, and none of 0."""
    sums: dict[tuple[int, str, str], int] = {}
    for one in counts:
        key = (one.minute, one.name, one.labels)
        sums[key] = sums.get(key, 0) + one.n
    return [Stat(*key, n) for key, n in sums.items() if n]


def _counted(draw: random.Random, load: float) -> Iterator[tuple[str, str, int]]:
    rotated = _about(draw, 119 * load)
    yield Figure.REFRESHES, "rotated", rotated
    yield Figure.REFRESHES, "retry", _about(draw, rotated / 95)
    for label, part in zip(LATENCY_BUCKETS, _LATENCIES, strict=False):
        slower = part * (1 + 0.3 * (load - 1)) if label != LATENCY_BUCKETS[0] else part
        yield Figure.REFRESH_LATENCY, label, _about(draw, rotated * slower)
    ended = _about(draw, 1.6 * load)
    for label, part in zip(REACH_BUCKETS, _REACHES, strict=False):
        yield Figure.REVOCATION_REACH, label, _about(draw, ended * part)
    succeeded = _about(draw, 2.4 * load)
    yield Figure.SIGN_INS, "success", succeeded
    yield Figure.SIGN_INS, "stopped", _about(draw, succeeded * 0.7)
    yield Figure.SIGN_INS, "failed", _about(draw, 0.17 * load)
    for figure, label, a_day in _RARE:
        yield figure, label, _about(draw, a_day / 1440 * load)


def _about(draw: random.Random, mean: float) -> int:
    """A number around that mean (Poisson, or close to it)."""
    if mean > 12:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    limit, product, n = math.exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        n += 1
    return n
