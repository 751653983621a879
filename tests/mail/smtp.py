"""A mail server that a test runs on its own event loop, and that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from aiosmtpd import smtp
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword


class Inbox:
    """What arrived. `refused` has answers for addresses that get nothing.

    What was taken is answered once `answers` is set, as it is at first.
    """

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refused: dict[str, str] = {}
        self.logins: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self.answers = asyncio.Event()
        self.answers.set()

    @property
    def messages(self) -> list[EmailMessage]:
        parsed = (
            message_from_bytes(one.content or b"", EmailMessage, policy=SMTP)  # type: ignore[arg-type]  # bytes, as asked for
            for one in self.envelopes
        )
        return list(parsed)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, _: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope
    ) -> str:
        self.envelopes.append(envelope)
        encryption = server.transport.get_extra_info("ssl_object")
        self.encrypted.append(encryption is not None)
        await self.answers.wait()
        return "250 OK"

    def authenticate(self, _s: Any, _n: Any, _e: Any, _m: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"p@ss word", handled=False)


@contextlib.asynccontextmanager
async def mail_server(
    inbox: Inbox,
    certificate: Path | None = None,
    *,
    direct: bool = False,
    login: bool = False,
    port: int = 0,
) -> AsyncIterator[int]:
    """The port of a mail server with that inbox: in clear, or with a certificate."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    def session() -> smtp.SMTP:
        with warnings.catch_warnings():
            # It warns of logins in clear, not knowing that `direct` is TLS.
            warnings.simplefilter("ignore", UserWarning)
            return smtp.SMTP(
                inbox,
                hostname="mail.example",
                tls_context=None if direct else context,
                require_starttls=context is not None and not direct,
                authenticator=inbox.authenticate if login else None,
                auth_required=login,
                auth_require_tls=not direct,
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        session, "127.0.0.1", port, ssl=context if direct else None
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def scripted_server(*answers: bytes) -> AsyncIterator[int]:
    """The port of a server that gives these answers, one a line, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for answer in answers:
                writer.write(answer)
                await writer.drain()
                await reader.readline()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
