"""What the commands share: options, settings, an open engine, exit codes.

A wrong setting exits with 2 after naming all of them, and so does one that cannot be
used here, such as a port that is in use; every other error of ours is one line on
standard error and exits with 1; Ctrl-C exits with 130, and `serve` with 0. Only `serve`
and `user add` make a new store: a mistyped --data must not look like an empty one.
"""

from __future__ import annotations

import asyncio
import functools
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from watchword.cli.output import complain
from watchword.core.actor import Actor, By
from watchword.errors import SettingsError, WatchwordError
from watchword.reasons import reason_of
from watchword.text import without_line_ends

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.config import Settings
    from watchword.core.session import Session
    from watchword.ports import SessionPage

Result = TypeVar("Result")
PAGE: Final = 500
_OPERATOR_MAX: Final = 64
INTERRUPTED: Final = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""

_DATABASE_URL: Final = "watchword.database_url"
# Longer than any password that is meant.
_PASSWORD_LINE_MAX: Final = 8 * 1024


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --data, --database-url and --json, which every command on a store takes.

    See `guarded`.
    """
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="The folder of all state (or WATCHWORD_DATA).",
    )
    url = click.option(
        "--database-url",
        expose_value=False,
        callback=_keep_url,
        help="Where the store is, such as an app's own sqlite:///app.db. A URL with a "
        "password is better given as WATCHWORD_DATABASE_URL: others see this one.",
    )
    return data(url(guarded(command)))


def _keep_url(context: click.Context, _: click.Parameter, url: str | None) -> None:
    context.meta[_DATABASE_URL] = url


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
            where = f"{error.filename}: " if error.filename else ""
            complain(WatchwordError(where + reason_of(error)), as_json=as_json)
            sys.exit(1)
        except (KeyboardInterrupt, click.Abort) as error:
            _end_of_interrupted(error)
            raise

    return click.option("--json", "as_json", is_flag=True, help="For programs.")(run)


def _end_of_interrupted(error: BaseException) -> None:
    """Exit as programs do that Ctrl-C has ended; not for a "no" to a question."""
    causes = (error, error.__context__)
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        click.echo(err=True)  # behind the ^C of the terminal
        sys.exit(INTERRUPTED)


def settings_of(data: Path | None, **flags: Any) -> Settings:  # noqa: ANN401
    """The settings, of a store that may be new; `--data` and other flags win.

    A store that an app made has its secret beside its file, unless something else says
    where that is. Raises SettingsError.
    """
    from watchword.config import ENV_PREFIX, load_settings
    from watchword.stores import file_of

    context = click.get_current_context(silent=True)
    url = None if context is None else context.meta.get(_DATABASE_URL)
    if url is not None:
        flags["database_url"] = url
        file = file_of(url)
        if (
            data is None
            and file is not None
            and not os.environ.get(f"{ENV_PREFIX}DATA")
        ):
            data = file.parent
    settings = load_settings(data=data, **flags)
    if settings.database_url == "memory:":
        raise SettingsError(["--database-url: memory: is for tests alone"])
    return _beside_its_secret(settings)


def _beside_its_secret(settings: Settings) -> Settings:
    from watchword.secret_files import SECRET_FILE

    file = database_of(settings)
    if "data" in settings.model_fields_set or settings.secret or file is None:
        return settings
    here, beside = settings.data / SECRET_FILE, file.parent / SECRET_FILE
    if here.exists() or not beside.exists():
        return settings
    return settings.model_copy(update={"data": file.parent})


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
    from watchword.stores import file_of

    return file_of(settings.database_url)


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
        name = _name_of_user()
    except (ImportError, KeyError, OSError):  # nothing has a name for this id
        name = ""
    plain = name.encode(errors="replace").decode()  # a name may be any bytes
    return By(Actor.OPERATOR, name=plain[:_OPERATOR_MAX])


def _name_of_user() -> str:
    """By the id of this process: a variable such as LOGNAME says what it is told to."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd  # not everywhere

    return pwd.getpwuid(os.geteuid()).pw_name


def piped_password() -> str:
    """The first line of standard input, without its line end."""
    return without_line_ends(standard_input(_PASSWORD_LINE_MAX, line=True))


def standard_input(limit: int, *, line: bool = False) -> str:
    """What is piped in, or its first line: never more than `limit` bytes and one.

    Without a byte order mark. Raises WatchwordError for what is not UTF-8.
    """
    stream = sys.stdin.buffer
    raw = stream.readline(limit + 1) if line else stream.read(limit + 1)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WatchwordError("What came on standard input is not UTF-8.") from None
