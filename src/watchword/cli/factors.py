"""`watchword user`: second factors, of accounts and of an app's own users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watchword.cli.common import existing, operator, options, with_engine
from watchword.cli.output import counted, table, tell, utc, visible
from watchword.core import limits
from watchword.core.session import as_text
from watchword.errors import NotFound

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword

_NAME = click.argument("name", metavar="NAME|SUBJECT")


@click.command()
@_NAME
@options
def factors(name: str, data: Path | None, as_json: bool) -> None:
    """Show a user's second factors.

    A user of an app's own is named by its subject: a number, or the `sub` of tokens.
    """

    async def work(watchword: Watchword) -> dict[str, Any]:
        account_id, roles = await _user_of(watchword, name)
        enrolled = await watchword.second_factors.factors.of(account_id, roles)
        return {
            "subject": as_text(account_id),
            "factors": [
                {
                    "id": as_text(row.id),
                    "kind": row.kind,
                    "name": row.label,
                    "createdAt": utc(row.created_at),
                    "usedAt": None if row.used_at is None else utc(row.used_at),
                }
                for row in enrolled.factors
            ],
            "recoveryCodesLeft": enrolled.codes_left,
            "required": enrolled.is_demanded,
        }

    found = with_engine(existing(data), work)
    if as_json:
        tell(as_json, "", name=name, **found)
        return
    table(as_json, found["factors"], f"{visible(name)} has no second factor.")
    if found["factors"]:
        click.echo(f"Recovery codes left: {found['recoveryCodesLeft']}")
    if found["required"]:
        click.echo(f"{visible(name)} needs a second factor to sign in.")


@click.command("reset-factors")
@_NAME
@options
def reset_factors(name: str, data: Path | None, as_json: bool) -> None:
    """Remove a user's second factors and recovery codes, and end all its sessions."""

    async def work(watchword: Watchword) -> int:
        account_id, _ = await _user_of(watchword, name)
        return await watchword.second_factors.factors.reset(account_id, by=operator())

    removed = with_engine(existing(data), work)
    said = f"Removed {counted(removed, 'factor')} of {visible(name)}; all its sessions "
    tell(as_json, f"{said}have ended.", name=name, removed=removed)


@click.command("require-factor")
@_NAME
@click.option("--no", "no_longer", is_flag=True, help="Take that back.")
@options
def require_factor(
    name: str,
    no_longer: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Demand a second factor of a user, whatever WATCHWORD_SECOND_FACTOR says.

    Its sessions that began without one end.
    """

    async def work(watchword: Watchword) -> int:
        account_id, _ = await _user_of(watchword, name)
        return await watchword.second_factors.factors.require(
            account_id, is_required=not no_longer, by=operator()
        )

    ended = with_engine(existing(data), work)
    said = (
        f"For {visible(name)} WATCHWORD_SECOND_FACTOR alone says what is needed."
        if no_longer
        else f"{visible(name)} needs a second factor from now on; "
        f"ended {counted(ended, 'session')}."
    )
    tell(as_json, said, name=name, required=not no_longer, revoked=ended)


@click.command("enrol-code")
@_NAME
@options
def enrol_code(name: str, data: Path | None, as_json: bool) -> None:
    """Make a code with which a user adds its first second factor.

    Hand it over yourself, on a way that you trust: it and the password are all that is
    needed to add one. It works once, for 24 hours; a new code takes the place of older
    ones.
    """

    async def work(watchword: Watchword) -> tuple[str, int]:
        account_id, _ = await _user_of(watchword, name)
        made = await watchword.second_factors.factors.enrol_code(
            account_id, by=operator()
        )
        return made, watchword.clock() + limits.ENROL_CODE_LIFE

    code, until = with_engine(existing(data), work)
    tell(as_json, code, name=name, code=code, expiresAt=utc(until))
    if not as_json:
        said = (
            f"{visible(name)} gives it when the sign-in asks for it, by {utc(until)}."
        )
        click.echo(said, err=True)


async def _user_of(watchword: Watchword, name: str) -> tuple[bytes, tuple[str, ...]]:
    """The subject and the roles of the account of that subject, name or address.

    The subject comes first: a stranger may have registered under it as a name. Where
    there is no account, it is the subject of a user of an app's own: its roles are not
    known here. Raises NotFound for a name.
    """
    from watchword.sign_in.own_users import account_id_of

    try:
        subject = account_id_of(int(name) if name.isdecimal() else name.lower())
    except (ValueError, NotFound):
        subject = None
    account = subject and await watchword.stores.accounts.by_id(subject)
    if not account:
        try:
            account = await watchword.accounts.find(name)
        except NotFound:
            if subject is None:
                raise
            return subject, ()
    return account.id, account.roles


OF_USERS = (factors, reset_factors, require_factor, enrol_code)
"""The commands here, for the group `user`."""
