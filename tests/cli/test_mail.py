"""`watchword mail`: what a developer reads, and what an operator tries."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from watchword.bootstrap import Watchword
from watchword.bootstrap.parts import composer_of, transport_of
from watchword.config import load_settings
from watchword.core.session import time_ordered_id
from watchword.mail.message import Mail, MailPurpose, seal_mail
from watchword.ports.outbox import Lane
from watchword.testing.fakes import START


def keep(terminal: Terminal, to: str, at: int) -> str:
    """Send a mail as the server does where no mail server is set."""
    settings = load_settings(data=terminal.data)
    transport = transport_of(settings)
    message_id = time_ordered_id(at, bytes(10))
    mail = Mail(purpose=MailPurpose.RESET, at=at, to=to, token="ww_cf_x", locale="de")
    asyncio.run(transport.send(composer_of(settings).compose(mail, message_id)))
    return message_id.hex()


def test_a_developer_reads_the_newest_mail(terminal: Terminal) -> None:
    assert "No message waits" in terminal.run("mail", "list").stdout
    older = keep(terminal, "ana@example.org", START)
    newer = keep(terminal, "ben@example.org", START + 1000)
    rows = terminal.json("mail", "list")
    assert [row["id"] for row in rows] == [newer, older]
    assert rows[0] == {
        "id": newer,
        "to": "ben@example.org",
        "subject": "Wählen Sie ein neues Passwort",
        "date": "2027-01-15T08:00:01Z",
        "lane": None,
        "tries": None,
        "next": None,
    }
    shown = terminal.run("mail", "show").stdout
    assert "to: ben@example.org" in shown
    assert "\nhttp://127.0.0.1:8000/reset#ww_cf_x\n" in shown
    assert terminal.json("mail", "show", older)["to"] == "ana@example.org"


def test_an_operator_sees_what_waits_to_be_sent(terminal: Terminal) -> None:
    """Without a sender nothing leaves; and no command sends."""

    async def post(watchword: Watchword) -> str:
        mail = Mail(
            purpose=MailPurpose.RESET, at=START, to="ana@x.example", token="t_1"
        )
        sealing, entropy = watchword.outbox_sealing, watchword.entropy
        row = seal_mail(mail, sealing, entropy, lane=Lane.UNKNOWN)
        await watchword.stores.outbox.add([row])
        await watchword.stores.outbox.postpone(row.id, START + 5000, 2)
        return row.id.hex()

    terminal.add("ana")
    name = terminal.engine(post)
    (row,) = terminal.json("mail", "list")
    assert row == {
        "id": name,
        "date": "2027-01-15T08:00:00Z",
        "to": "ana@x.example",
        "subject": "(reset)",
        "lane": "unknown",
        "tries": 2,
        "next": "2027-01-15T08:00:05Z",
    }
    shown = terminal.run("mail", "show").stdout
    assert "tries: 2" in shown
    assert "\nhttp://127.0.0.1:8000/reset#t_1\n" in shown
    kept = keep(terminal, "ben@example.org", START + 1)
    assert [row["id"] for row in terminal.json("mail", "list")] == [kept, name]


@pytest.mark.parametrize("name", ["newest", "0" * 32, "../secret"])
def test_a_message_that_is_not_there_is_said(terminal: Terminal, name: str) -> None:
    assert "No such message" in terminal.run("mail", "show", name, code=1).stderr


def test_a_test_message_goes_where_mail_goes(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = terminal.run("mail", "test", "ana@example.org", code=2).stderr
    assert f"no data folder at {terminal.data}" in missing
    assert not terminal.data.exists()
    terminal.data.mkdir()
    said = terminal.run("mail", "test", "Ana@example.org", "--locale", "de").stdout
    assert said == "The message to Ana@example.org was handed over.\n"
    assert "kann Mails senden" in terminal.run("mail", "show").stdout
    assert "address" in terminal.run("mail", "test", "ana", code=1).stderr
    monkeypatch.setenv("WATCHWORD_MAIL_URL", "smtp://127.0.0.1:1")
    failed = terminal.run("mail", "test", "ana@example.org", code=1).stderr
    assert failed == "watchword: The mail was not sent: nothing listens there.\n"
    monkeypatch.setenv("WATCHWORD_MAIL_URL", "")
    monkeypatch.setenv("WATCHWORD_ISSUER", "https://id.example")
    refused = terminal.run("mail", "test", "ana@example.org", code=2).stderr
    assert "give WATCHWORD_MAIL_URL" in refused


@pytest.mark.parametrize("purpose", MailPurpose)
def test_every_mail_can_be_seen_before_it_is_sent(
    terminal: Terminal, purpose: MailPurpose
) -> None:
    found = terminal.json("mail", "preview", purpose, "--locale", "de")
    shown = terminal.run("mail", "preview", purpose, "--locale", "de").stdout
    assert shown == f"{found['subject']}\n\n{found['text']}"
    html = terminal.run("mail", "preview", purpose, "--html").stdout
    assert html.startswith("<!doctype html>")


def test_a_preview_says_what_there_is(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = terminal.run("mail", "preview", "farewell", code=1).stderr
    assert "there are: confirm, " in unknown
    language = terminal.run("mail", "preview", "reset", "--locale", "fr", code=1).stderr
    assert "there are: de, en" in language
    (tmp_path / "mail" / "en").mkdir(parents=True)
    (tmp_path / "mail" / "en" / "reset.txt").write_text("no subject")
    monkeypatch.setenv("WATCHWORD_TEMPLATES", str(tmp_path))
    wrong = terminal.run("mail", "preview", "reset", code=2).stderr
    assert "mail template reset.txt: it must begin with a line Subject:" in wrong
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "sign-in.html").write_text("{{")
    monkeypatch.setenv("WATCHWORD_BREACHED_PASSWORDS", "away.txt")
    for command, code in (("check", 1), ("serve --port 0", 2)):
        told = terminal.run(*command.split(), code=code).stderr
        assert "mail template reset.txt" in told
        assert "page template sign-in.html, line 1" in told
        assert "WATCHWORD_BREACHED_PASSWORDS: away.txt cannot be read" in told
    assert not terminal.data.exists(), "a start that cannot send makes nothing"


def test_a_check_names_what_a_first_start_would_refuse_or_lack(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.data.mkdir()
    monkeypatch.setenv("WATCHWORD_ISSUER", "https://id.example")
    monkeypatch.setenv("WATCHWORD_REGISTRATION", "open")
    (warning,) = terminal.json("check")["warnings"]
    assert warning.endswith("no mail can be sent; give WATCHWORD_MAIL_URL")
    monkeypatch.setenv("WATCHWORD_ADMIN_PASSWORD", "short")
    told = terminal.run("check", code=1).stderr
    assert "WATCHWORD_ADMIN_PASSWORD cannot be used" in told
