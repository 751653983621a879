"""Instants that are typed into a field of date and time."""

from __future__ import annotations

from datetime import UTC, datetime


def instant_in(text: str) -> int | None:
    """The instant (ms); in UTC without an offset. None for what is no time."""
    try:
        when = datetime.fromisoformat(text)
        return int(when.replace(tzinfo=when.tzinfo or UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
