"""Invitations that are open, and how mail does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from watchword.admin.invitations import OpenInvitation
from watchword.admin.mail import MailState
from watchword.mail.url import Tls, parse_mail_url
from watchword.server.console.screens import LANGUAGES, Screen

_TLS: Final = {
    Tls.NONE: "in clear, on this machine",
    Tls.STARTTLS: "TLS (STARTTLS)",
    Tls.DIRECT: "TLS",
}


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits. `subject` is the account that it is about, or ""."""

    subject: str
    written: int
    tries: int
    due: int


class Mail(Screen, frozen=True, kw_only=True):
    """Invitations and mail.

    `server` and `sender` say how mail leaves; `server` is empty where none does.
    `invites` says that invitations can be accepted. `waiting` are the oldest messages
    that wait. `typed` is what was typed into the form that was not accepted.
    """

    template = "mail.html"
    here = "mail"

    title: str = "Invitations and mail"
    server: str
    sender: str
    state: MailState
    waiting: tuple[WaitingRow, ...]
    invitations: tuple[OpenInvitation, ...]
    next: str | None
    is_later: bool
    invites: bool
    address: str
    typed: Mapping[str, str] = {}

    @property
    def locales(self) -> list[tuple[str, str]]:
        """The languages of messages."""
        return LANGUAGES


def server_in_words(url: str | None) -> str:
    """Where mail goes, without the account there; "" where it goes nowhere."""
    if url is None:
        return ""
    server = parse_mail_url(url)
    if server is None:
        return "The folder outbox in the data folder: no message leaves this machine"
    return f"{server.host}:{server.port}, {_TLS[server.tls]}"
