"""What the commands share: options, settings, an open engine, exit codes.

A wrong setting exits with 2 after naming all of them; every other error of ours is one
line on standard error and exits with 1. Only `serve` and `user add` make a new store:
a mistyped --data must not look like an empty one.
"""

from __future__ import annotations

import asyncio
import functools
import getpass
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from watchword.cli.output import complain
from watchword.core.actor import Actor, By
from watchword.errors import SettingsError, WatchwordError

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.config import Settings
    from watchword.core.session import Session
    from watchword.ports import SessionPage

Result = TypeVar("Result")
PAGE: Final = 500
_OPERATOR_MAX: Final = 64


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --data and --json, which every command on a store takes; see `guarded`."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="The folder of all state (or WATCHWORD_DATA).",
    )
    return data(guarded(command))


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Add --json, and turn errors into exits."""

    @functools.wraps(command)
    def run(*, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's
        try:
            command(as_json=as_json, **given)
        except WatchwordError as error:
            complain(error, as_json=as_json)
            sys.exit(2 if isinstance(error, SettingsError) else 1)
        except BrokenPipeError:
            raise  # `| head`: click knows what to do
        except OSError as error:
            reason = error.strerror or type(error).__name__
            where = f"{error.filename}: " if error.filename else ""
            complain(WatchwordError(where + reason), as_json=as_json)
            sys.exit(1)

    return click.option("--json", "as_json", is_flag=True, help="For programs.")(run)


def settings_of(data: Path | None, **flags: Any) -> Settings:  # noqa: ANN401
    """The settings, of a store that may be new; `--data` and other flags win.

    Raises SettingsError.
    """
    from watchword.config import load_settings

    return load_settings(data=data, **flags)


def existing(data: Path | None, *, secret: bool = True) -> Settings:
    """The settings, of a store that is there, and of its server secret, if needed.

    Raises SettingsError.
    """
    settings = settings_of(data)
    file = database_of(settings)
    if file is not None and not file.exists():
        inside = file.is_relative_to(settings.data)
        gone = inside and not settings.data.exists()
        missing = f"data folder at {settings.data}" if gone else f"database at {file}"
        raise SettingsError(
            [f"no {missing}: run `watchword serve` first, or give --data"]
        )
    if secret:
        from watchword.bootstrap import given_secrets, lacking_secret

        if given_secrets(settings) is None:
            raise lacking_secret(settings)
    return settings


def database_of(settings: Settings) -> Path | None:
    """The file of an embedded store; None where the store is a server."""
    if not settings.database_url.startswith("sqlite:"):
        return None
    from watchword.stores.sqlite.database import path_of

    return path_of(settings.database_url)


def with_engine(
    settings: Settings, work: Callable[[Watchword], Awaitable[Result]]
) -> Result:
    """What `work` returns, on the open store."""
    from watchword.bootstrap import open_watchword

    async def run() -> Result:
        async with open_watchword(settings, background=False) as watchword:
            return await work(watchword)

    return asyncio.run(run())


async def every_row(
    fetch: Callable[..., Awaitable[list[Result]]], key: Callable[[Result], Any]
) -> list[Result]:
    """All rows of what comes page by page, each following the `key` of the last."""
    rows: list[Result] = []
    following: dict[str, Any] = {}
    while True:
        page = await fetch(limit=PAGE, **following)
        rows += page
        if len(page) < PAGE:
            return rows
        following = {"after": key(page[-1])}


async def every_session(fetch: Callable[..., Awaitable[SessionPage]]) -> list[Session]:
    """All sessions of what comes page by page."""
    page = await fetch(limit=PAGE)
    rows = list(page.sessions)
    while page.onward is not None:
        page = await fetch(limit=PAGE, after=page.onward)
        rows += page.sessions
    return rows


def operator() -> By:
    """Whose command this is, for the audit log: the operating system's user."""
    try:
        name = getpass.getuser()
    except (ImportError, KeyError, OSError):  # no variable and no entry for this id
        name = ""
    return By(Actor.OPERATOR, name=name[:_OPERATOR_MAX])


def standard_input(limit: int, *, line: bool = False) -> str:
    """What is piped in, or its first line: never more than `limit` bytes and one.

    Raises WatchwordError for what is not UTF-8.
    """
    stream = sys.stdin.buffer
    raw = stream.readline(limit + 1) if line else stream.read(limit + 1)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise WatchwordError("What came on standard input is not UTF-8.") from None
