"""What the commands print: sentences and tables for people, JSON for programs.

Names, addresses and devices come from clients. So their control characters are never
printed to a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from watchword.errors import SettingsError, StoreUnavailable, WatchwordError
from watchword.reasons import reason_of


def tell(as_json: bool, sentence: str, **facts: Any) -> None:  # noqa: ANN401
    """Print the sentence for a person, or the facts as JSON for a program."""
    click.echo(json.dumps(facts) if as_json else sentence)


def table(
    as_json: bool,
    rows: Sequence[dict[str, Any]],
    empty: str,
    *,
    leave_out: Sequence[str] = (),
) -> None:
    """Print rows as a table without the columns to leave out, or as a JSON list."""
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo(empty)
        return
    columns = [name for name in rows[0] if name not in leave_out]
    shown = [[visible(row[name]) for name in columns] for row in rows]
    head = [_spaced(name) for name in columns]
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    for line in [head, *shown]:
        cells = zip(line, widths, strict=True)
        click.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())


def facts(as_json: bool, found: dict[str, Any]) -> None:
    """Print the facts of one thing: a line for each, or a JSON object."""
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        inner = value.items() if isinstance(value, dict) else ()
        click.echo(f"{_spaced(name)}:" + ("" if inner else f" {visible(value)}"))
        for key, fact in inner:
            click.echo(f"  {visible(key)}: {visible(fact)}")


def complain(error: WatchwordError, *, as_json: bool) -> None:
    """Print an error on standard error: one line, or one for each wrong setting."""
    lines = error.faults if isinstance(error, SettingsError) else [_sentence(error)]
    for line in lines:
        shown = json.dumps({"code": error.code, "message": line})
        click.echo(shown if as_json else f"watchword: {visible(line)}", err=True)


def _sentence(error: WatchwordError) -> str:
    """The error's message; with the reason, if it is that the store has failed."""
    if isinstance(error, StoreUnavailable) and str(error) == error.message:
        cause = error.__cause__
        return error.message if cause is None else f"The store: {reason_of(cause)}."
    return str(error)


def visible(value: object) -> str:
    """The value as one line without control characters, whatever a client sent."""
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    text = "-" if value is None or value == "" else str(value)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def utc(instant: int) -> str:
    """An instant (milliseconds since the Unix epoch) as text in UTC."""
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(count: int, noun: str) -> str:
    """`1 session`, `2 sessions`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _spaced(name: str) -> str:
    """`signedInAt` as a person writes it."""
    return re.sub(r"(?=[A-Z])", " ", name).lower()
