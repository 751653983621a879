"""`watchword login`, `token` and `logout`: a user's session on this machine.

These commands talk to a server as any client does, and do not need its settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.cli.common import guarded, piped_password
from watchword.cli.output import tell, visible
from watchword.errors import (
    SecondFactorRequired,
    SignedOut,
    Unreachable,
    WatchwordError,
)

if TYPE_CHECKING:
    from watchword.client.stored import StoredSession

HERE: Final = "http://127.0.0.1:8000"


def _options(command: Callable[..., None]) -> Callable[..., None]:
    file = click.option(
        "--file",
        type=click.Path(path_type=Path),
        default=_usual_file,
        help="Where the session is kept  [default: watchword/session.json in "
        "XDG_CONFIG_HOME or ~/.config]",
    )
    return file(guarded(command))


def _usual_file() -> Path:
    # A path that is not absolute must be ignored (XDG Base Directory specification).
    given = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(given) if given.startswith("/") else Path.home() / ".config"
    return folder / "watchword" / "session.json"


@click.command()
@click.option("--url", default=HERE, show_default=True, help="The server's address.")
@click.option("--user", "name", help="Sign in by this name and its password.")
@click.option(
    "--password", "by_password", is_flag=True, help="Ask for a name and a password."
)
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)
@click.option(
    "--no-browser",
    is_flag=True,
    help="Print the address to sign in at, for a browser on this machine.",
)
@_options
def login(
    url: str,
    name: str | None,
    by_password: bool,
    password_stdin: bool,
    no_browser: bool,
    file: Path,
    as_json: bool,
) -> None:
    """Sign in, in place of a session that is there. `watchword token` goes on with it.

    On a terminal with a browser beside it, you sign in at the server's pages. Else, and
    with --user or one of the options for a password, by a name and a password; the code
    of a second factor is asked for on a terminal. Never give a password as an argument:
    others on the machine can read those.
    """
    from watchword.cli.browser import browser_here, sign_in_by_browser

    wants_password = by_password or password_stdin or name is not None
    if no_browser and wants_password:
        raise click.UsageError("--no-browser is for a sign-in without a password here.")
    is_asking = not (no_browser or wants_password) and sys.stdin.isatty()
    show = browser_here() if is_asking else None
    if is_asking and show is None:
        click.echo("No browser is found here (see --no-browser).", err=True)
    try:
        if no_browser or show is not None:
            sign_in_by_browser(url, file, show, as_json=as_json)
        else:
            _by_password(url, name, file, stdin=password_stdin, as_json=as_json)
    except Unreachable as error:
        if str(error) != Unreachable.message:  # it says more than that
            raise
        raise Unreachable(f"There is no answer from {url} (see --url).") from None


def _by_password(
    url: str, name: str | None, file: Path, *, stdin: bool, as_json: bool
) -> None:
    from watchword.cli.second_step import finish
    from watchword.client import Auth

    auth = Auth(url, file=file)
    if name is None:
        _need_terminal("--user")
        name = click.prompt("User", err=True)
    codes: tuple[str, ...] = ()
    try:
        auth.login(name, _password(stdin))
    except SecondFactorRequired as stopped:
        codes = finish(auth, stopped)
    sentence = f"Signed in at {url} as {visible(name)}."
    more: dict[str, object] = {}
    if codes:
        more = {"recoveryCodes": codes}
        shown = "\n".join(map(visible, codes))
        sentence += f"\nKeep these recovery codes, which are shown once:\n{shown}"
    tell(as_json, sentence, url=url, user=name, file=str(file), **more)


@click.command()
@_options
def token(file: Path, as_json: bool) -> None:
    """Print an access token that works now.

    curl -H "Authorization: Bearer $(watchword token)" https://...
    """
    from watchword.client import Auth

    stored = _stored(file)
    if stored is None:
        raise SignedOut("There is no session here: run `watchword login`.")
    if stored.scheme != "Bearer":
        raise WatchwordError("This session's tokens work with a proof of its key only.")
    access = Auth(stored.issuer, file=file).token()
    tell(as_json, access, accessToken=access)


@click.command()
@_options
def logout(file: Path, as_json: bool) -> None:
    """End the session, here and at the server. Where there is none, nothing is done."""
    from watchword.client import Auth

    stored = _stored(file)
    if stored is not None:
        Auth(stored.issuer, file=file).logout()
    sentence = "There is no session here." if stored is None else "Signed out."
    tell(as_json, sentence, ended=stored is not None)


def _stored(file: Path) -> StoredSession | None:
    from watchword.client.file import TokenFile
    from watchword.client.stored import StoredSession

    return TokenFile(file, StoredSession).read()


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return piped_password()
    _need_terminal("--password-stdin")
    answer: str = click.prompt("Password", hide_input=True, err=True)
    return answer


def _need_terminal(instead: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask on: use {instead}.")
