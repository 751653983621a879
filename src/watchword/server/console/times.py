"""Instants and numbers in words, for templates: their filters.

Instants are milliseconds since the epoch, and shown in UTC. With `ago` the script makes
"4 minutes ago" of one, where there is a script.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

_TIME: Final = Markup('<time class="nowrap" datetime="{}"{}>{}</time>')
_AGO: Final = Markup(" data-ago")


def instant(at: int) -> Markup:
    """`28 Nov 2026, 22:41 UTC`."""
    return _time(at, "{d.day} {d:%b} {d.year}, {d:%H:%M} UTC")


def second(at: int) -> Markup:
    """`28 Nov, 22:41:07`: for tables that say that times are UTC."""
    return _time(at, "{d.day} {d:%b}, {d:%H:%M:%S}")


def day(at: int) -> Markup:
    """`28 Nov 2026`."""
    return _time(at, "{d.day} {d:%b} {d.year}")


def clock_time(at: int) -> str:
    """`22:41`."""
    return f"{datetime.fromtimestamp(at / 1000, UTC):%H:%M}"


def short_day(at: int) -> str:
    """`28 Nov`."""
    when = datetime.fromtimestamp(at / 1000, UTC)
    return f"{when.day} {when:%b}"


def ago(at: int) -> Markup:
    """As `instant`; the script makes it relative."""
    return _time(at, "{d.day} {d:%b} {d.year}, {d:%H:%M} UTC", _AGO)


def number(value: float) -> str:
    """`1,204`; with two digits behind the point where it is small and broken."""
    if value < 10 and value != int(value):  # noqa: PLR2004
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:,.0f}"


FILTERS: Final = {
    "instant": instant,
    "second": second,
    "day": day,
    "ago": ago,
    "number": number,
}


def _time(at: int, words: str, more: str = "") -> Markup:
    when = datetime.fromtimestamp(at / 1000, UTC)
    return _TIME.format(f"{when:%Y-%m-%dT%H:%M:%SZ}", more, words.format(d=when))
