"""What the commands share: options, settings, an open engine, exit codes.

A command with wrong settings names all of them and exits with 2. So does a command with
a setting that cannot be used here, such as a port that is in use. Every other error of
ours is one line on standard error, and the command exits with 1. After Ctrl-C a command
exits with 130, and `serve` with 0. Only `serve` and `user add` make a new store: a
mistyped --data must not look like an empty store.
"""

from __future__ import annotations

import asyncio
import functools
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from watchword.cli.output import complain, visible
from watchword.core.actor import Actor, By
from watchword.errors import SettingsError, WatchwordError
from watchword.reasons import reason_of
from watchword.text import without_line_ends

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword
    from watchword.bootstrap.self_service import SelfService
    from watchword.config import Settings
    from watchword.core.session import Session
    from watchword.ports.sessions import SessionPage

Result = TypeVar("Result")
PAGE: Final = 500
_OPERATOR_MAX: Final = 64
INTERRUPTED: Final = 130
"""The exit code after Ctrl-C: 128 plus the number of SIGINT, as in shells."""

_DATABASE_URL: Final = "watchword.database_url"
_IN_JSON: Final = "watchword.in_json"
# Longer than any allowed password.
_PASSWORD_LINE_MAX: Final = 8 * 1024


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --data, --database-url and --json, which every command on a store takes.

    Errors become exits: see `guarded`.
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
    """Add --json, and turn errors into messages and exit codes."""

    @functools.wraps(command)
    def run(*, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's
        try:
            command(as_json=as_json, **given)
        except WatchwordError as error:
            complain(error, as_json=as_json or _is_in_json())
            sys.exit(2 if isinstance(error, SettingsError) else 1)
        except BrokenPipeError:
            raise  # after `| head`, say: click handles it
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            said = WatchwordError(where + reason_of(error))
            complain(said, as_json=as_json or _is_in_json())
            sys.exit(1)
        except (KeyboardInterrupt, click.Abort) as error:
            _exit_if_interrupted(error)
            raise

    return click.option("--json", "as_json", is_flag=True, help="For programs.")(run)


def in_json() -> bool:
    """Have this command print as with --json from now on, errors too. Returns True."""
    click.get_current_context().meta[_IN_JSON] = True
    return True


def _is_in_json() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and _IN_JSON in context.meta


def _exit_if_interrupted(error: BaseException) -> None:
    """Exit as a program that Ctrl-C ended. A "no" to a question is no such end."""
    causes = (error, error.__context__)
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        click.echo(err=True)  # ends the line in which the terminal has shown ^C
        sys.exit(INTERRUPTED)


def settings_of(data: Path | None, **flags: Any) -> Settings:  # noqa: ANN401
    """The settings, for a store that may not exist yet. `--data` and other flags win.

    A store that an app made has its secret in the same folder. That one is used unless
    a setting says where the secret is. Raises SettingsError.
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
    """The settings, for a store that exists.

    Raises SettingsError if it does not exist, or if its server secret is missing and
    `secret` says that it is needed.
    """
    settings = settings_of(data)
    file = database_of(settings)
    if file is not None and not file.exists():
        inside = file.is_relative_to(settings.data)
        gone = inside and not settings.data.exists()
        missing = f"data folder at {settings.data}" if gone else f"database at {file}"
        hint = "run `watchword serve` first, or give --data or --database-url"
        raise SettingsError([f"no {missing}: {hint}"])
    if secret:
        from watchword.server_secret import given_secrets, lacking_secret

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
    """Open the store, run `work` on it, and return its result."""
    from watchword.bootstrap import open_watchword

    async def run() -> Result:
        async with open_watchword(settings, background=False) as watchword:
            return await work(watchword)

    return asyncio.run(run())


def self_service_of(watchword: Watchword) -> SelfService:
    """What accounts serve themselves by. A command has no users of its own."""
    service = watchword.self_service
    assert service is not None  # noqa: S101 - see above
    return service


def way_of_mail(settings: Settings) -> str:
    """What becomes of a mail that a command has written.

    Only the server sends it: its links need the address that it is served at.
    """
    from watchword.mail.url import OUTBOX

    if settings.effective_mail_url == OUTBOX:
        return (
            f"The running server puts the mail into {visible(settings.outbox_folder)}: "
            f"see `watchword mail show{_same_store(settings)}`."
        )
    return "The running server sends the mail."


def _same_store(settings: Settings) -> str:
    """The option by which the next command finds the store of this one."""
    context = click.get_current_context(silent=True)
    url = None if context is None else context.meta.get(_DATABASE_URL)
    if url is not None:
        return f" --database-url {quote(url)}"
    given = "data" in settings.model_fields_set
    return f" --data {quote(str(settings.data))}" if given else ""


async def every_row(
    fetch: Callable[..., Awaitable[list[Result]]], key: Callable[[Result], Any]
) -> list[Result]:
    """All rows of a paged list. Each page begins behind the `key` of the last row."""
    rows: list[Result] = []
    following: dict[str, Any] = {}
    while True:
        page = await fetch(limit=PAGE, **following)
        rows += page
        if len(page) < PAGE:
            return rows
        following = {"after": key(page[-1])}


async def every_session(fetch: Callable[..., Awaitable[SessionPage]]) -> list[Session]:
    """All sessions of a paged list."""
    page = await fetch(limit=PAGE)
    rows = list(page.sessions)
    while page.onward is not None:
        page = await fetch(limit=PAGE, after=page.onward)
        rows += page.sessions
    return rows


def operator() -> By:
    """The operator that runs this command, for the audit log: the system's user."""
    try:
        name = _name_of_user()
    except (ImportError, KeyError, OSError):  # the user's id has no name
        name = ""
    plain = name.encode(errors="replace").decode()  # names may not be valid text
    return By(Actor.OPERATOR, name=plain[:_OPERATOR_MAX])


def _name_of_user() -> str:
    """The name of this process's user id. Variables such as LOGNAME can be forged."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd  # not on every platform

    return pwd.getpwuid(os.geteuid()).pw_name


def piped_password() -> str:
    """The first line of standard input, without its line end."""
    return without_line_ends(standard_input(_PASSWORD_LINE_MAX, line=True))


def standard_input(limit: int, *, line: bool = False) -> str:
    """Standard input, or its first line: at most `limit` bytes and one more.

    A byte order mark is left out. Raises WatchwordError if it is not UTF-8.
    """
    stream = sys.stdin.buffer
    raw = stream.readline(limit + 1) if line else stream.read(limit + 1)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WatchwordError("What came on standard input is not UTF-8.") from None
