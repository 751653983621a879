"""How mail leaves: to a server over TLS, to none that is not trusted, to a folder."""

from __future__ import annotations

import asyncio
import datetime as dt
import stat
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from tests.client.test_tls import LASTING, certificate
from tests.mail.smtp import Inbox, mail_server, scripted_server
from watchword.errors import MailNotSent
from watchword.mail.composing import Composer
from watchword.mail.message import Mail, MailPurpose
from watchword.mail.transports import OutboxFolder, open_transport
from watchword.mail.url import MailServer, Tls, parse_mail_url
from watchword.testing.fakes import START

TO = "Ana@example.org"
ID = bytes(range(16))
SENDER = "no-reply@id.example"


def a_message(to: str = TO) -> EmailMessage:
    composer = Composer(service="Ünit", sender=SENDER, links="https://id.example")
    return composer.compose(Mail(purpose=MailPurpose.TEST, at=START, to=to), ID)


async def send(url: str) -> None:
    await open_transport(url, Path("unused")).send(a_message())


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate of 127.0.0.1 that this process trusts."""
    file = certificate(tmp_path, "127.0.0.1", LASTING)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("outbox:", None),
        ("smtp://127.0.0.1", MailServer("127.0.0.1", 25, Tls.NONE, None, "")),
        ("smtp://[::1]:2525", MailServer("::1", 2525, Tls.NONE, None, "")),
        ("smtps://m.example", MailServer("m.example", 465, Tls.DIRECT, None, "")),
        (
            "smtp://u%40x:p%3As@m.example?tls=starttls",
            MailServer("m.example", 587, Tls.STARTTLS, "u@x", "p:s"),
        ),
        (
            "smtp://user@host:587?tls=starttls",
            MailServer("host", 587, Tls.STARTTLS, "user", ""),
        ),
    ],
)
def test_a_url_says_where_mail_goes(url: str, server: MailServer | None) -> None:
    assert parse_mail_url(url) == server


@pytest.mark.parametrize("kind", ["starttls", "direct"])
async def test_mail_goes_out_encrypted_and_with_a_login(
    kind: str, trusted: Path
) -> None:
    inbox, direct = Inbox(), kind == "direct"
    async with mail_server(inbox, trusted, direct=direct, login=True) as port:
        where = f"ana:p%40ss%20word@127.0.0.1:{port}"
        url = f"smtps://{where}" if direct else f"smtp://{where}?tls=starttls"
        await send(url)
    assert inbox.logins == [("ana", "p@ss word")]
    assert inbox.encrypted == [True]
    (envelope,) = inbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [TO])
    assert inbox.messages[0]["message-id"] == f"<{ID.hex()}@id.example>"


async def test_a_mail_server_on_this_machine_gets_mail_in_clear() -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        await send(f"smtp://127.0.0.1:{port}")
    assert inbox.encrypted == [False]


@pytest.mark.parametrize("kind", ["unknown", "expired", "of another host"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_is_not_trusted_gets_nothing(
    kind: str, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = "192.0.2.7" if kind == "of another host" else "127.0.0.1"
    life = dt.timedelta(days=1) if kind == "expired" else LASTING
    file = certificate(tmp_path, host, life)
    if kind != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    inbox, direct = Inbox(), scheme == "smtps"
    async with mail_server(inbox, file, direct=direct) as port:
        query = "" if direct else "?tls=starttls"
        with pytest.raises(MailNotSent, match="certificate is not accepted"):
            await send(f"{scheme}://127.0.0.1:{port}{query}")
    assert not inbox.envelopes


async def test_a_server_without_starttls_gets_nothing() -> None:
    inbox = Inbox()
    async with mail_server(inbox) as port:
        with pytest.raises(MailNotSent, match="STARTTLS extension not supported"):
            await send(f"smtp://127.0.0.1:{port}?tls=starttls")
    assert not inbox.envelopes


@pytest.mark.parametrize("answer", ["450 4.2.1 later", "550 5.1.1 no such user"])
async def test_the_reason_is_the_reply_code_and_no_address(answer: str) -> None:
    inbox = Inbox()
    inbox.refused[TO] = f"{answer} {TO}"
    async with mail_server(inbox) as port:
        with pytest.raises(MailNotSent) as raised:
            await send(f"smtp://127.0.0.1:{port}")
    assert raised.value.reason == f"the mail server answered {answer[:3]}"
    assert answer[4:] in str(raised.value)


async def test_a_wrong_password_is_said(trusted: Path) -> None:
    inbox = Inbox()
    async with mail_server(inbox, trusted, login=True) as port:
        with pytest.raises(MailNotSent, match="answered 535"):
            await send(f"smtp://ana:wrong@127.0.0.1:{port}?tls=starttls")
    assert not inbox.envelopes


async def test_a_connection_that_is_cut_is_no_delivery() -> None:
    async with scripted_server(b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n") as port:
        with pytest.raises(MailNotSent, match="closed the connection"):
            await send(f"smtp://127.0.0.1:{port}")
    with pytest.raises(MailNotSent, match="nothing listens there"):
        await send(f"smtp://127.0.0.1:{port}")


async def test_a_server_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("watchword.core.limits.MAIL_TIMEOUT", 20)
    over = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    with pytest.raises(MailNotSent, match="no answer in time"):
        await send(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    over.set()
    server.close()


async def test_what_the_server_took_is_sent_even_if_it_then_hangs_up() -> None:
    lines = [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
    received = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        await writer.drain()
        writer.close()
        received.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await send(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await received.wait()
    server.close()


async def test_the_folder_has_a_private_file_for_each_message(tmp_path: Path) -> None:
    folder = OutboxFolder(tmp_path / "data" / "outbox")
    for _ in range(2):  # the same message again is the same file
        await folder.send(a_message())
    (file,) = folder.folder.iterdir()
    assert folder.names() == [ID.hex()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.folder.stat().st_mode) == 0o700
    assert message_from_bytes(file.read_bytes(), policy=SMTP)["to"] == TO


async def test_a_folder_that_cannot_be_written_keeps_the_mail_waiting(
    tmp_path: Path,
) -> None:
    (tmp_path / "outbox").write_text("no folder")
    with pytest.raises(MailNotSent):
        await OutboxFolder(tmp_path / "outbox").send(a_message())
