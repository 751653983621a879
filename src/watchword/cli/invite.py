"""`watchword invite`: let the owner of a mailbox in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watchword.cli.common import (
    existing,
    operator,
    options,
    self_service_of,
    way_of_mail,
    with_engine,
)
from watchword.cli.output import tell, visible
from watchword.errors import SettingsError

if TYPE_CHECKING:
    from watchword.bootstrap import Watchword


@click.command()
@click.argument("address")
@click.option("--role", "roles", multiple=True, help="May be repeated.")
@click.option("--locale", default="en", help="The language of the message.")
@options
def invite(
    address: str, roles: tuple[str, ...], locale: str, data: Path | None, as_json: bool
) -> None:
    """Mail an invitation to ADDRESS: it makes an account with these roles.

    An account that has the address already gets the roles. The link works for 7 days.
    """
    settings = existing(data)
    if settings.registration == "closed":
        needed = "set WATCHWORD_REGISTRATION to invited or open"
        raise SettingsError([f"registration is closed: {needed}"])
    if settings.effective_mail_url is None:
        raise SettingsError(["no mail can be sent: give WATCHWORD_MAIL_URL"])

    async def work(watchword: Watchword) -> None:
        invitations = self_service_of(watchword).invitations
        await invitations.invite(address, roles=roles, locale=locale, by=operator())

    with_engine(settings, work)
    sentence = f"{visible(address)} gets an invitation. {way_of_mail(settings)}"
    tell(as_json, sentence, invited=address, roles=list(dict.fromkeys(roles)))
