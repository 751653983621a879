"""What the commands share: options, settings, an open engine, output, errors.

A wrong setting exits with 2 after naming all of them; every other error of ours is one
line on standard error and exits with 1.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from watchword.errors import SettingsError, WatchwordError

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.config import Settings

Result = TypeVar("Result")
Command = TypeVar("Command", bound=Callable[..., Any])


class Commands(click.Group):
    """A group whose commands' errors become sentences and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click's own
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for fault in error.faults:
                click.echo(f"watchword: {fault}", err=True)
            ctx.exit(2)
        except WatchwordError as error:
            if "--json" in sys.argv:
                told = json.dumps({"code": error.code, "message": str(error)})
                click.echo(told, err=True)
            else:
                click.echo(f"watchword: {error}", err=True)
            ctx.exit(1)


def options(command: Command) -> Command:
    """Add --data and --json, which every command takes."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder of all state (or WATCHWORD_DATA).",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
    return data(as_json(command))


def settings_of(data: Path | None, **flags: Any) -> Settings:  # noqa: ANN401
    """The settings; `--data` and other flags win. Raises SettingsError."""
    from watchword.config import load_settings

    return load_settings(data=data, **flags)


def with_engine(
    data: Path | None,
    work: Callable[[Watchword], Awaitable[Result]],
    *,
    make: bool = False,
) -> Result:
    """Run `work` on the store of that folder, which must be there unless `make`."""
    from watchword.bootstrap import open_watchword

    settings = settings_of(data)
    if not make and not settings.data.exists():
        fault = (
            f"there is no data folder {settings.data}: "
            "run `watchword serve` first, or give --data"
        )
        raise SettingsError([fault])

    async def run() -> Result:
        async with open_watchword(settings, background=False) as watchword:
            return await work(watchword)

    return asyncio.run(run())


def tell(as_json: bool, sentence: str, **facts: Any) -> None:  # noqa: ANN401
    """Say it to a person, or give the facts to a program."""
    click.echo(json.dumps(facts) if as_json else sentence)


def table(as_json: bool, rows: Sequence[dict[str, Any]], empty: str) -> None:
    """Rows under their names; JSON as a list."""
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo(empty)
        return
    shown = [[visible(value) for value in row.values()] for row in rows]
    head = list(rows[0])
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    for line in [head, *shown]:
        cells = zip(line, widths, strict=True)
        click.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())


def visible(value: object) -> str:
    """One line without control characters, whatever a client sent."""
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    text = "-" if value in (None, "") else str(value)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def utc(instant: int) -> str:
    """An instant of the engine, for people and programs."""
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
