"""`watchword mail`: messages that were kept instead of sent, a test, a preview."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from watchword.cli.common import options, settings_of
from watchword.cli.output import facts, table, tell, utc, visible
from watchword.errors import NotFound, SettingsError

if TYPE_CHECKING:
    from watchword.config import Settings
    from watchword.mail.message import Mail, MailPurpose

_NEWEST: Final = "newest"


@click.group()
def mail() -> None:
    """Mail: list and show kept messages, send a test, preview the templates."""


@mail.command("list")
@options
def list_(data: Path | None, as_json: bool) -> None:
    """Show the messages that the folder `outbox` in --data has, the newest first.

    They are there where no mail server is set: on a developer's machine.
    """
    settings = settings_of(data)
    rows = []
    for name in _kept(settings):
        message = _read(settings, name)
        row = {"id": name} | {key: str(message[key]) for key in ("to", "subject")}
        rows.append(row | {"date": utc(_instant(message))})
    table(as_json, rows, f"There is no message in {settings.outbox_folder}.")


@mail.command()
@click.argument("message", default=_NEWEST)
@options
def show(message: str, data: Path | None, as_json: bool) -> None:
    """Show a message by its id, or the newest one."""
    settings = settings_of(data)
    names = _kept(settings)
    name = names[0] if message == _NEWEST and names else message
    if name not in names:
        raise NotFound(f"There is no such message in {settings.outbox_folder}.")
    found = _read(settings, name)
    body = found.get_body(("plain",))
    text = "" if body is None else str(body.get_content())
    head = {key: str(found[key]) for key in ("from", "to", "subject", "date")}
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

    from watchword.bootstrap.parts import composer_of, transport_of
    from watchword.clocks import system_clock
    from watchword.core.session import time_ordered_id
    from watchword.mail.addresses import read_address
    from watchword.mail.message import MailPurpose
    from watchword.mail.url import OUTBOX

    settings = settings_of(data)
    transport = transport_of(settings)
    if transport is None:
        raise SettingsError(["no mail can be sent: give WATCHWORD_MAIL_URL"])
    if settings.effective_mail_url == OUTBOX and not settings.data.exists():
        # A mistyped --data must not become a folder.
        missing = f"no data folder at {settings.data}"
        raise SettingsError([f"{missing}: run `watchword serve` first, or give --data"])
    to = read_address(address, local=True).email
    one = _sample(MailPurpose.TEST, locale, to)
    message_id = time_ordered_id(system_clock(), secrets.token_bytes(10))
    asyncio.run(transport.send(composer_of(settings).compose(one, message_id)))
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

    composer = composer_of(settings_of(data))
    if locale not in composer.locales:
        known = ", ".join(composer.locales)
        raise NotFound(f"No template is in {visible(locale)}; there are: {known}.")
    content = composer.content(_sample(_purpose(purpose), locale, ""))
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


def _sample(purpose: MailPurpose, locale: str, to: str) -> Mail:
    """A mail as it would be, with a token that opens nothing."""
    from watchword.clocks import system_clock
    from watchword.core import one_time_token
    from watchword.core.limits import ONE_TIME_BYTES
    from watchword.mail.addresses import masked
    from watchword.mail.message import TOKENS, Mail

    kind = TOKENS.get(purpose)
    return Mail(
        purpose=purpose,
        at=system_clock(),
        locale=locale,
        to=to,
        token="" if kind is None else one_time_token.mint(kind, bytes(ONE_TIME_BYTES)),
        masked=masked("new@example.org"),
        network="192.0.2.1",
    )


def _kept(settings: Settings) -> list[str]:
    """The ids of the messages in the folder, the newest first."""
    from watchword.mail.transports import OutboxFolder

    return OutboxFolder(settings.outbox_folder).names()


def _read(settings: Settings, name: str) -> EmailMessage:
    raw = (settings.outbox_folder / f"{name}.eml").read_bytes()
    return message_from_bytes(raw, EmailMessage, policy=SMTP)


def _instant(message: EmailMessage) -> int:
    """When it was made, in milliseconds since the Unix epoch."""
    date: Any = message["date"]
    return int(date.datetime.timestamp() * 1000)


def _printable(line: str) -> str:
    return visible(line) if line else ""
