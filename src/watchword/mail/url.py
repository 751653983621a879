"""The URL that says where mail goes: `smtp://`, `smtps://` or `outbox:`."""

from __future__ import annotations

from enum import Enum
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from watchword.core.network import is_loopback

OUTBOX: Final = "outbox:"
"""No mail server: each message is a file in the data folder."""


class Tls(Enum):
    """How the connection to a mail server is encrypted, and its usual port."""

    NONE = 25
    STARTTLS = 587
    DIRECT = 465


class MailServer(msgspec.Struct, frozen=True):
    """A mail server, and the account there. Without a `user` there is no login."""

    host: str
    port: int
    tls: Tls
    user: str | None
    password: str


def parse_mail_url(url: str) -> MailServer | None:
    """The mail server of that URL; None for the folder.

    Raises ValueError, without a message, for anything else. Mail in clear is for a mail
    server on loopback alone.
    """
    if url == OUTBOX:
        return None
    parts = urlsplit(url)
    wanted = {
        ("smtps", ""): Tls.DIRECT,
        ("smtp", "tls=starttls"): Tls.STARTTLS,
        ("smtp", ""): Tls.NONE,
    }
    tls = wanted.get((parts.scheme, parts.query))
    host = parts.hostname or ""
    if tls is None or not host or parts.path not in ("", "/") or "#" in url:
        raise ValueError
    if tls is Tls.NONE and not is_loopback(host):
        raise ValueError
    if parts.port == 0:
        raise ValueError
    user = None if parts.username is None else unquote(parts.username, errors="strict")
    password = unquote(parts.password or "", errors="strict")
    return MailServer(host, parts.port or tls.value, tls, user, password)
