"""`watchword invite`: an operator lets the owner of a mailbox in."""

from __future__ import annotations

import re

import pytest

from tests.cli.terminal import Terminal
from watchword.bootstrap import Watchword


async def send(watchword: Watchword) -> None:
    """What a server does with the mail that waits."""
    assert watchword.mail is not None
    await watchword.mail.send_due()
    await watchword.mail.close()


def test_an_invitation_is_mailed_and_recorded(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.add("ana")
    closed = terminal.run("invite", "ben@example.org", code=2).stderr
    assert "registration is closed: set WATCHWORD_REGISTRATION" in closed
    monkeypatch.setenv("WATCHWORD_REGISTRATION", "invited")
    assert "address" in terminal.run("invite", "ben", code=1).stderr
    words = ("Ben@example.org", "--role", "editor", "--locale", "de")
    said = terminal.run("invite", *words).stdout
    assert str(terminal.data / "outbox") in said
    terminal.engine(send)
    shown = terminal.json("mail", "show")
    assert shown["to"] == "Ben@example.org"
    assert "eingeladen" in shown["subject"]
    assert re.search(r"/confirm#ww_cf_\S{46}\s", shown["text"])
    last = terminal.run("audit").stdout.splitlines()[-1]
    assert " user_invited roles=editor by=operator " in last
    monkeypatch.setenv("WATCHWORD_ISSUER", "https://id.example")
    monkeypatch.setenv("WATCHWORD_SECRET", "s" * 40)
    refused = terminal.run("invite", "ben@example.org", code=2).stderr
    assert "give WATCHWORD_MAIL_URL" in refused
