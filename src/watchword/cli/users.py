"""`watchword user`: accounts and their passwords."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from watchword.cli.running import options, table, tell, utc, visible, with_engine
from watchword.core.session import as_text
from watchword.errors import InvalidRequest, WatchwordError

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword

_PAGE = 500
_ROLE = click.option("--role", "roles", multiple=True, help="May be repeated.")
_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group()
def user() -> None:
    """Accounts: add, list, disable, enable, change."""


@user.command()
@click.argument("name")
@_STDIN
@_ROLE
@options
def add(
    name: str,
    password_stdin: bool,
    roles: tuple[str, ...],
    data: Path | None,
    as_json: bool,
) -> None:
    """Make an account."""
    password = _password(password_stdin)

    async def work(watchword: Watchword) -> None:
        account = await watchword.accounts.register(name, password, roles=roles)
        tell(
            as_json,
            f"Made the account {visible(account.name)}.",
            name=account.name,
            subject=as_text(account.id),
        )

    with_engine(data, work, make=True)


@user.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show all accounts."""

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        after = ""
        while True:
            page = await watchword.accounts.list(after=after, limit=_PAGE)
            rows += [
                {
                    "name": row.name,
                    "subject": as_text(row.id),
                    "roles": list(row.roles),
                    "state": "disabled" if row.disabled else "enabled",
                    "created": utc(row.created_at),
                }
                for row in page
            ]
            if len(page) < _PAGE:
                return rows
            after = page[-1].name

    table(as_json, with_engine(data, work), "There are no accounts.")


@user.command()
@click.argument("name")
@options
def disable(name: str, data: Path | None, as_json: bool) -> None:
    """Let an account sign in no more, and end its sessions."""
    count = with_engine(data, lambda watchword: watchword.accounts.disable(name))
    tell(as_json, f"Disabled {visible(name)}; ended {_sessions(count)}.", revoked=count)


@user.command()
@click.argument("name")
@options
def enable(name: str, data: Path | None, as_json: bool) -> None:
    """Let an account sign in again. Its old sessions stay ended."""
    with_engine(data, lambda watchword: watchword.accounts.enable(name))
    tell(as_json, f"Enabled {visible(name)}.", name=name)


@user.command()
@click.argument("name")
@_STDIN
@options
def passwd(
    name: str,
    password_stdin: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Change a password, and end the account's sessions."""
    password = _password(password_stdin)
    count = with_engine(
        data, lambda watchword: watchword.accounts.set_password(name, password)
    )
    done = f"Changed the password of {visible(name)}; ended {_sessions(count)}."
    tell(as_json, done, revoked=count)


@user.command()
@click.argument("name")
@_ROLE
@options
def roles(
    name: str,
    roles: tuple[str, ...],
    data: Path | None,
    as_json: bool,
) -> None:
    """Replace an account's roles; its sessions have them from the next refresh on."""
    with_engine(data, lambda watchword: watchword.accounts.set_roles(name, roles))
    shown = visible(roles)
    tell(as_json, f"Roles of {visible(name)}: {shown}.", name=name, roles=list(roles))


@user.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options
def delete(
    name: str,
    yes: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Remove an account, and end its sessions."""
    if not yes:
        click.confirm(f"Delete {visible(name)} for good?", abort=True)
    count = with_engine(data, lambda watchword: watchword.accounts.delete(name))
    tell(as_json, f"Deleted {visible(name)}; ended {_sessions(count)}.", revoked=count)


@user.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@options
def import_(file: IO[str], data: Path | None, as_json: bool) -> None:
    """Make accounts from JSON lines: username, passwordHash, roles.

    Hashes of Django, bcrypt, scrypt and argon2 are understood, and replaced at the
    first sign-in.
    """

    async def work(watchword: Watchword) -> tuple[int, list[str]]:
        made, faults = 0, []
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                name, hashed, roles = _imported(line)
                await watchword.accounts.import_hash(name, hashed, roles=roles)
                made += 1
            except WatchwordError as error:
                faults.append(f"line {number}: {error}")
        return made, faults

    made, faults = with_engine(data, work, make=True)
    for fault in faults:
        click.echo(f"watchword: {visible(fault)}", err=True)
    refused = len(faults)
    told = f"Imported {made}, refused {refused}."
    tell(as_json, told, imported=made, refused=refused)
    if faults:
        sys.exit(1)


def _imported(line: str) -> tuple[str, str, list[str]]:
    try:
        row = json.loads(line)
        name, hashed = row["username"], row["passwordHash"]
        roles = row.get("roles", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequest('expected {"username", "passwordHash"}') from None
    texts = [name, hashed, *(roles if isinstance(roles, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("username, passwordHash and roles are text")
    return name, hashed, roles


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: use --password-stdin.")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"
