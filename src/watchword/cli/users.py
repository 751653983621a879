"""`watchword user`: accounts and their passwords."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from watchword.cli.common import (
    database_of,
    every_row,
    existing,
    operator,
    options,
    piped_password,
    self_service_of,
    settings_of,
    way_of_mail,
    with_engine,
)
from watchword.cli.importing import Import
from watchword.cli.output import counted, table, tell, utc, visible
from watchword.cli.progress import reading
from watchword.core.session import as_text
from watchword.errors import PasswordRejected
from watchword.text import trimmed

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword

_ROLE = click.option("--role", "roles", multiple=True, help="May be repeated.")
_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group()
def user() -> None:
    """Accounts: add, list, disable, enable, change, reset."""


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
    """Make an account, and a store where there is none."""
    from watchword.accounts.names import checked_roles, normalise_name
    from watchword.factors.policy import SecondFactorPolicy

    settings = settings_of(data)
    # Checked before the password is asked for, and before anything is made.
    normalise_name(name)
    checked_roles(roles)
    password = _password(password_stdin)
    file = database_of(settings)
    if file is not None and not file.exists():
        click.echo(
            f"There was no store: making {file}. `watchword serve` will not make the "
            "account admin beside this one.",
            err=True,
        )

    async def work(watchword: Watchword) -> None:
        if made := watchword.made_secret:
            click.echo(f"Made a server secret in {made}: back it up.", err=True)
        account = await watchword.accounts.register(
            name, password, roles=roles, by=operator()
        )
        tell(
            as_json,
            f"Made the account {visible(account.name)}.",
            name=account.name,
            subject=as_text(account.id),
            roles=list(account.roles),
        )
        if SecondFactorPolicy(settings.second_factor).demands(account.roles, []):
            click.echo(
                "It needs a second factor, and has no confirmed mail address: "
                "`watchword user enrol-code` makes the token that its first sign-in "
                "asks for.",
                err=True,
            )

    with_engine(settings, work)


@user.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show all accounts."""

    async def work(watchword: Watchword) -> list[dict[str, Any]]:
        rows = await every_row(watchword.accounts.list, lambda row: row.name)
        return [
            {
                "name": row.name,
                "subject": as_text(row.id),
                "roles": list(row.roles),
                "email": row.email,
                "emailConfirmed": row.email_key is not None,
                "state": "disabled" if row.disabled else "enabled",
                "createdAt": utc(row.created_at),
            }
            for row in rows
        ]

    table(as_json, with_engine(existing(data), work), "There are no accounts.")


@user.command()
@click.argument("name")
@options
def disable(name: str, data: Path | None, as_json: bool) -> None:
    """Let an account sign in no more, and end its sessions."""

    async def work(watchword: Watchword) -> int:
        account = await watchword.accounts.find(name)
        return await watchword.accounts.disable(account.id, by=operator())

    _tell_ended(as_json, "Disabled", name, with_engine(existing(data), work))


@user.command()
@click.argument("name")
@options
def enable(name: str, data: Path | None, as_json: bool) -> None:
    """Let an account sign in again. Its old sessions stay ended."""

    async def work(watchword: Watchword) -> None:
        account = await watchword.accounts.find(name)
        await watchword.accounts.enable(account.id, by=operator())

    with_engine(existing(data), work)
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

    async def work(watchword: Watchword) -> int:
        account = await watchword.accounts.find(name)  # before the question
        password = _password(password_stdin)
        return await watchword.accounts.set_password(
            account.id, password, by=operator()
        )

    _tell_ended(
        as_json, "Changed the password of", name, with_engine(existing(data), work)
    )


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
    """Show an account's roles, or replace them with those given.

    Its sessions have them from the next refresh on. --role '' takes all away.
    """

    async def work(watchword: Watchword) -> list[str]:
        account = await watchword.accounts.find(name)
        if not roles:
            return list(account.roles)
        wanted = () if roles == ("",) else roles
        await watchword.accounts.set_roles(account.id, wanted, by=operator())
        return list(dict.fromkeys(wanted))

    now = with_engine(existing(data), work)
    sentence = f"Roles of {visible(name)}: {visible(now)}" if now else "No roles."
    tell(as_json, sentence, name=name, roles=now)


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

    async def work(watchword: Watchword) -> int:
        account = await watchword.accounts.find(name)  # before the question
        if not yes:
            question = f"Delete {visible(name)} for good?"
            click.confirm(question, abort=True, err=True)
        return await watchword.accounts.delete(account.id, by=operator())

    _tell_ended(as_json, "Deleted", name, with_engine(existing(data), work))


@user.command()
@click.argument("name")
@click.argument("address")
@click.option("--confirmed", is_flag=True, help="You know that it is theirs.")
@options
def email(
    name: str,
    address: str,
    confirmed: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Give an account a mail address, confirmed or to be confirmed by its user.

    Without --confirmed a mail asks for that. Until then another account may take the
    address, and a confirmed one that the account has stays.
    """
    settings = existing(data)

    async def work(watchword: Watchword) -> str:
        service = self_service_of(watchword)
        account = await watchword.accounts.find(name)
        await service.email_changes.assign(
            account.id, address, confirmed=confirmed, by=operator()
        )
        return watchword.mail_writer.read_address(address).email

    given = with_engine(settings, work)
    said = (
        f"{visible(given)} is the address of {visible(name)} now."
        if confirmed
        else f"{visible(name)} must confirm {visible(given)}. {way_of_mail(settings)}"
    )
    tell(as_json, said, name=name, email=given, confirmed=confirmed)


@user.command("send-reset")
@click.argument("name")
@options
def send_reset(name: str, data: Path | None, as_json: bool) -> None:
    """Mail an account a link to choose a new password."""
    settings = existing(data)

    async def work(watchword: Watchword) -> str:
        service = self_service_of(watchword)
        account = await watchword.accounts.find(name)
        await service.recovery.send(account.id, by=operator())
        return account.email or ""

    to = with_engine(settings, work)
    said = f"{visible(name)} gets a link at {visible(to)}. {way_of_mail(settings)}"
    tell(as_json, said, name=name, email=to)


@user.command("import")
@click.argument("file", type=click.File("rb"))
@options
def import_(file: IO[bytes], data: Path | None, as_json: bool) -> None:
    """Make accounts from JSON lines: username, passwordHash, roles. `-`: piped in.

    A subject, a UUID or a number, keeps the id that a user has elsewhere.
    Hashes of Django, Werkzeug and passlib, bcrypt, scrypt and argon2 are understood,
    and replaced at the first sign-in; one that begins with "!" stands for no password.
    Lines that are refused are named, with the reason; the others count.
    """
    with reading(file, "Importing") as tell_bytes:
        made, faults = with_engine(
            existing(data),
            lambda watchword: Import(watchword.accounts, operator()).read(
                file, tell_bytes
            ),
        )
    for fault in faults if not as_json else []:
        line, message = fault["line"], visible(fault["message"])
        click.echo(f"watchword: line {line}: {message}", err=True)
    refused = len(faults)
    sentence = f"Imported {made}, refused {refused}."
    tell(as_json, sentence, imported=made, refused=refused, faults=faults)
    if faults:
        sys.exit(1)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return _without_blank_ends(piped_password())
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on: use --password-stdin.")
    from watchword.passwords.policy import LENGTH_MIN

    click.echo(f"A password has at least {LENGTH_MIN} characters.", err=True)
    answer: str = click.prompt(
        "Password", hide_input=True, confirmation_prompt=True, err=True
    )
    return _without_blank_ends(answer)


def _without_blank_ends(password: str) -> str:
    """The password. Raises PasswordRejected for a blank at an end.

    It may be there on purpose or by mistake.
    """
    if password != trimmed(password):
        raise PasswordRejected("A password must not begin or end with a blank.")
    return password


def _tell_ended(as_json: bool, what: str, name: str, count: int) -> None:
    done = f"{what} {visible(name)}; ended {counted(count, 'session')}."
    tell(as_json, done, name=name, revoked=count)
