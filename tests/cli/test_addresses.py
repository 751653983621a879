"""`watchword user`: addresses of accounts, and a reset by mail."""

from __future__ import annotations

import json

import pytest

from tests.cli.terminal import OTHER_PASSWORD, Terminal
from watchword.bootstrap import Watchword

ADDRESS = "Ann@example.org"


async def send(watchword: Watchword) -> None:
    """What a running server does."""
    assert watchword.mail is not None
    await watchword.mail.send_due()
    await watchword.mail.close()


def test_an_operator_sends_a_reset(terminal: Terminal) -> None:
    """Commands name the folder of the mail, and take the address for the name."""
    terminal.add("ann")
    terminal.run("user", "email", "ann", ADDRESS, "--confirmed")
    said = terminal.run("user", "send-reset", "ann@EXAMPLE.org").stdout
    folder = terminal.data / "outbox"
    assert said == (
        f"ann@EXAMPLE.org gets a link at {ADDRESS}. The running server puts the mail "
        f"into {folder}: see `watchword mail show --data {terminal.data}`.\n"
    )
    terminal.engine(send)
    shown = terminal.json("mail", "show")
    assert shown["to"] == ADDRESS
    token = shown["text"].partition("/reset#")[2].split()[0]

    async def reset(watchword: Watchword) -> None:
        service = watchword.self_service
        assert service is not None
        await service.recovery.reset(token, OTHER_PASSWORD)

    terminal.engine(reset)


def test_an_address_is_shown_with_its_account(terminal: Terminal) -> None:
    """One without proof as such; what another account has is refused."""
    for name in ("ann", "ben", "cyd"):
        terminal.add(name)
    told = terminal.json("user", "email", "ann", ADDRESS, "--confirmed")
    assert told == {"name": "ann", "email": ADDRESS, "confirmed": True}
    said = terminal.run("user", "email", "ben", "ben@example.org").stdout
    assert said.startswith("ben must confirm ben@example.org. The running server ")
    rows = terminal.json("user", "list")
    assert [(row["email"], row["emailConfirmed"]) for row in rows] == [
        (ADDRESS, True),
        ("ben@example.org", False),
        (None, False),
    ]
    assert ADDRESS in terminal.run("user", "list").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("email", "ben", ADDRESS), "email_taken"),
        (("email", "ben", "no address"), "email_invalid"),
        (("email", "cyd", ADDRESS), "not_found"),
        (("send-reset", "ben"), "not_found"),
        (("disable", "ann"), "last_admin"),
        (("delete", "ann", "--yes"), "last_admin"),
    ],
)
def test_what_cannot_be_is_one_line(
    terminal: Terminal, words: tuple[str, ...], code: str
) -> None:
    terminal.add("ann", "--role", "admin")
    terminal.run("user", "email", "ann", ADDRESS, "--confirmed")
    terminal.add("ben")
    told = terminal.run("user", *words, "--json", code=1).stderr
    assert json.loads(told)["code"] == code
