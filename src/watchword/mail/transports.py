"""How a message leaves: by SMTP, or into a folder of files."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol

from watchword.core import limits
from watchword.errors import MailNotSent
from watchword.extras import needs
from watchword.mail.url import MailServer, Tls, parse_mail_url
from watchword.reasons import reason_of

with needs("watchword[accounts]"):
    import aiosmtplib

_GOODBYE: Final = 2.0


class Transport(Protocol):
    """Where messages go."""

    async def send(self, message: EmailMessage) -> None:
        """Hand the message over to be delivered. Raises MailNotSent."""


def open_transport(url: str, folder: Path) -> Transport:
    """The transport of a mail URL. `folder` is where `outbox:` puts its files."""
    server = parse_mail_url(url)
    return OutboxFolder(folder) if server is None else Smtp(server)


class OutboxFolder:
    """A folder that takes the place of a mail server, on a developer's machine.

    Each message is a file, named by its id: sorted by name they are in order of time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, message: EmailMessage) -> None:
        """Write the message to a file, whole or not at all. Raises MailNotSent."""
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise MailNotSent(reason_of(error)) from error

    def _write(self, message: EmailMessage) -> None:
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        name = message["Message-ID"].strip("<>").partition("@")[0]
        aside = self.folder / f".{name}"
        aside.touch(mode=0o600)
        aside.write_bytes(message.as_bytes())
        aside.replace(self.folder / f"{name}.eml")

    def names(self) -> list[str]:
        """The ids of the messages that are there, the newest first."""
        return sorted((one.stem for one in self.folder.glob("*.eml")), reverse=True)


class Smtp:
    """A mail server that relays: one connection a message.

    The server's certificate is verified. A server without STARTTLS, where that was
    asked for, gets nothing.
    """

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def send(self, message: EmailMessage) -> None:
        """Hand the message to the server. Raises MailNotSent unless it took it."""
        sender = message["From"].addresses[0]
        smtp = self._client(sender.domain)
        try:
            async with asyncio.timeout(limits.MAIL_TIMEOUT / limits.SECOND):
                await smtp.connect()
                await smtp.sendmail(
                    sender.addr_spec,
                    [message["To"].addresses[0].addr_spec],
                    message.as_bytes(),
                )
        except (aiosmtplib.SMTPException, OSError) as error:
            smtp.close()
            raise _not_sent(error) from error
        except BaseException:
            smtp.close()
            raise
        # The server has taken the message: nothing that follows makes it unsent.
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            async with asyncio.timeout(_GOODBYE):
                await smtp.quit()
        smtp.close()

    def _client(self, own_name: str) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password if server.user is not None else None,
            # Otherwise it would ask the name server, and block the event loop.
            local_hostname=own_name,
            timeout=limits.MAIL_TIMEOUT / limits.SECOND,
            use_tls=server.tls is Tls.DIRECT,
            start_tls=server.tls is Tls.STARTTLS,
            tls_context=(
                None if server.tls is Tls.NONE else ssl.create_default_context()
            ),
        )


def _not_sent(error: Exception) -> MailNotSent:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return MailNotSent(f"the mail server answered {error.code}", error.message)
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        return MailNotSent("no answer in time")
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return MailNotSent("the mail server closed the connection")
    if type(error) is aiosmtplib.SMTPException:  # what the server cannot do
        return MailNotSent(error.message.rstrip("."))
    return MailNotSent(reason_of(error))
