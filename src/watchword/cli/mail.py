"""`watchword mail`: messages that wait or were kept, a test, a preview."""

from __future__ import annotations

import asyncio
import contextlib
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from watchword.cli.common import (
    database_of,
    every_row,
    existing,
    options,
    settings_of,
    with_engine,
)
from watchword.cli.output import facts, table, tell, utc, visible
from watchword.errors import KeyRingError, NotFound, SettingsError

if TYPE_CHECKING:
    from email.message import EmailMessage

    from watchword.bootstrap import Watchword
    from watchword.config import Settings
    from watchword.mail.message import Mail, MailPurpose
    from watchword.ports.outbox import LeasedMessage

_NEWEST: Final = "newest"


@click.group()
def mail() -> None:
    """Mail: list and show messages, send a test, preview the templates."""


@mail.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show the messages that wait to be sent, and those kept in --data; newest first.

    Messages are kept, in the folder `outbox`, where no mail server is set: on a
    developer's machine. Of one that waits, its lane, the tries so far and the instant
    of the next one are shown; what becomes of it is decided when it is sent.
    """
    settings = settings_of(data)
    waits = {"lane": None, "tries": None, "next": None}
    rows = []
    for name in _kept(settings):
        message = _read(settings, name)
        row = {"id": name, "date": utc(_instant(message))}
        row |= {key: str(message[key]) for key in ("to", "subject")}
        rows.append(row | waits)
    for leased, mail in _waiting(settings):
        message_id, subject = leased.message.id, f"({mail.purpose})"
        row = {"id": message_id.hex(), "date": utc(mail.at), "to": mail.to}
        rows.append(row | {"subject": subject} | _waits(leased))
    rows.sort(key=itemgetter("id"), reverse=True)
    table(as_json, rows, f"No message waits, nor is one in {settings.outbox_folder}.")


@mail.command()
@click.argument("message", default=_NEWEST)
@options
def show(message: str, data: Path | None, as_json: bool) -> None:
    """Show a message by its id, or the newest one: one that waits, or was kept."""
    settings = settings_of(data)
    kept = _kept(settings)
    waiting = {
        leased.message.id.hex(): (leased, mail) for leased, mail in _waiting(settings)
    }
    newest = max([*kept, *waiting], default="")
    name = newest if message == _NEWEST else message
    if name in waiting:
        head, text = _draft(settings, *waiting[name])
    elif name in kept:
        head, text = _contents(_read(settings, name))
    else:
        folder = settings.outbox_folder
        raise NotFound(f"No such message waits, nor is it in {folder}.")
    if as_json:
        facts(as_json, {"id": name, **head, "text": text})
        return
    facts(as_json, head)
    click.echo()
    click.echo("\n".join(map(_printable, text.splitlines())))


@mail.command()
@click.argument("address")
@click.option("--locale", default="en", help="The language of the message.")
@options
def test(address: str, locale: str, data: Path | None, as_json: bool) -> None:
    """Send a message to ADDRESS now, and say what the mail server answered."""
    import secrets

    from watchword.bootstrap.parts import send_test_mail
    from watchword.clocks import system_clock
    from watchword.mail.addresses import read_address
    from watchword.mail.url import OUTBOX

    settings = settings_of(data)
    if settings.effective_mail_url == OUTBOX and not settings.data.exists():
        # A mistyped --data must not become a folder.
        missing = f"no data folder at {settings.data}"
        raise SettingsError([f"{missing}: run `watchword serve` first, or give --data"])
    to = read_address(address, local=True).email
    now, entropy = system_clock(), secrets.token_bytes
    work = send_test_mail(settings, to, locale, now=now, entropy=entropy)
    message_id = asyncio.run(work)
    said = f"The message to {visible(to)} was handed over."
    tell(as_json, said, sent=to, id=message_id.hex())


@mail.command()
@click.argument("purpose")
@click.option("--locale", default="en", help="The language of the message.")
@click.option("--html", is_flag=True, help="Show the HTML instead of the text.")
@options
def preview(
    purpose: str, locale: str, html: bool, data: Path | None, as_json: bool
) -> None:
    """Show what a message says: confirm, reset, invitation and others, by PURPOSE."""
    from watchword.bootstrap.parts import composer_of
    from watchword.clocks import system_clock
    from watchword.mail.composing import sample

    composer = composer_of(settings_of(data))
    if locale not in composer.locales:
        known = ", ".join(composer.locales)
        raise NotFound(f"No template is in {visible(locale)}; there are: {known}.")
    wanted = sample(_purpose(purpose), system_clock(), locale=locale)
    content = composer.content(wanted)
    if as_json:
        facts(as_json, content._asdict())
        return
    if not html:
        click.echo(f"{visible(content.subject)}\n")
    click.echo(content.html if html else content.text, nl=html)


def _purpose(name: str) -> MailPurpose:
    from watchword.mail.message import MailPurpose

    if name not in set(MailPurpose):
        known = ", ".join(MailPurpose)
        raise NotFound(f"No message is called {visible(name)}; there are: {known}.")
    return MailPurpose(name)


def _kept(settings: Settings) -> list[str]:
    """The ids of the messages in the folder, the newest first."""
    from watchword.mail.transports import OutboxFolder

    return OutboxFolder(settings.outbox_folder).names()


def _waiting(settings: Settings) -> list[tuple[LeasedMessage, Mail]]:
    """The messages of the store that wait to be sent, as far as they can be opened."""
    from watchword.mail.message import open_mail

    file = database_of(settings)
    if file is not None and not file.exists():
        return []

    async def work(watchword: Watchword) -> list[tuple[LeasedMessage, Mail]]:
        found = []
        rows = await every_row(watchword.stores.outbox.list, lambda row: row.message.id)
        for row in rows:
            # `keys secrets` tells of those under a secret that is not here.
            with contextlib.suppress(KeyRingError, msgspec.ValidationError):
                found.append((row, open_mail(row.message, watchword.outbox_sealing)))
        return found

    return with_engine(existing(settings.data), work)


def _waits(leased: LeasedMessage) -> dict[str, Any]:
    due = utc(leased.message.not_before)
    return {"lane": leased.message.lane, "tries": leased.attempts, "next": due}


def _draft(
    settings: Settings, leased: LeasedMessage, mail: Mail
) -> tuple[dict[str, Any], str]:
    """Head and text of a message that waits, as it would say now."""
    from watchword.bootstrap.parts import composer_of

    content = composer_of(settings).content(mail)
    head = {"from": settings.effective_mail_from, "to": mail.to}
    head |= {"subject": content.subject, "date": utc(mail.at)}
    return head | _waits(leased), content.text


def _contents(found: EmailMessage) -> tuple[dict[str, Any], str]:
    """Head and text of a message that was kept."""
    body = found.get_body(("plain",))
    head = {key: str(found[key]) for key in ("from", "to", "subject", "date")}
    return head, "" if body is None else str(body.get_content())


def _read(settings: Settings, name: str) -> EmailMessage:
    from email import message_from_bytes
    from email.message import EmailMessage
    from email.policy import SMTP

    raw = (settings.outbox_folder / f"{name}.eml").read_bytes()
    return message_from_bytes(raw, EmailMessage, policy=SMTP)


def _instant(message: EmailMessage) -> int:
    """When it was made, in milliseconds since the Unix epoch."""
    date: Any = message["date"]
    return int(date.datetime.timestamp() * 1000)


def _printable(line: str) -> str:
    return visible(line) if line else ""
