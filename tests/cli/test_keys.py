"""`watchword keys secrets`: a change of the server secret, as its operator sees it."""

from __future__ import annotations

import re
from base64 import b32decode
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from tests.cli.terminal import PASSWORD, Terminal
from watchword.bootstrap import Watchword
from watchword.cli import main
from watchword.core import limits
from watchword.core.actor import Actor, By
from watchword.core.totp import code_at
from watchword.mail.message import Mail, MailPurpose, seal_mail
from watchword.ports.outbox import Lane
from watchword.testing.fakes import START

OLD = "the-first-server-secret-0123456789-abcdefgh"
LAST = "the-third-server-secret-0123456789-abcdefgh"
NEW = "the-second-server-secret-0123456789-abcdefg"
USER = By(Actor.USER, "192.0.2.1")
WEEK = 7 * 86400


async def serve(watchword: Watchword) -> None:
    """What the start of a server does to the keys."""
    await watchword.keys.start()


def told(terminal: Terminal, *secrets: str) -> list[dict[str, Any]]:
    (terminal.data / "secret").write_text("\n".join(secrets) + "\n")
    printed = terminal.run("keys", "secrets").stdout
    rows: list[dict[str, Any]] = terminal.json("keys", "secrets")
    for secret in secrets:
        assert secret not in printed
    return rows


def test_a_change_of_the_server_secret_is_told_step_by_step(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("watchword.cli.keys"), "_PAGE", 2)
    terminal.data.mkdir()
    (terminal.data / "secret").write_text(OLD)
    terminal.add("alice")
    (alone,) = told(terminal, OLD)
    assert re.fullmatch("[0-9a-f]{8}", alone["fingerprint"])
    assert (alone["does"], alone["keysSealed"]) == ("mints and verifies", 2)
    assert alone["mayGoFrom"] is None
    # Everywhere behind the old one, then in front of it.
    first, second = told(terminal, OLD, NEW)
    assert first == alone
    assert (second["does"], second["keysSealed"]) == ("verifies", 0)
    assert (second["mayGoFrom"], second["note"][:8]) == (None, "unknown:")
    (terminal.data / "secret").write_text(f"{NEW}\n{OLD}\n")
    terminal.engine(serve, ago=60)
    for name in ("bob", "carol", "dave"):  # the log goes on
        terminal.add(name)
    swapped = told(terminal, NEW, OLD)
    assert [row["fingerprint"] for row in swapped] == [
        second["fingerprint"],
        first["fingerprint"],
    ]
    assert [row["keysSealed"] for row in swapped] == [2, 0]
    may_go = datetime.fromisoformat(swapped[1]["mayGoFrom"])
    left = (may_go - datetime.now(UTC)).total_seconds()
    assert WEEK - 120 < left <= WEEK
    assert len(told(terminal, NEW)) == 1


def test_a_secret_stays_as_long_as_mail_waits_under_it(terminal: Terminal) -> None:
    """A server that starts seals the mail again, and none starts without the secret."""

    async def post(watchword: Watchword) -> str:
        mail = Mail(purpose=MailPurpose.RESET, at=START, to="ana@example.org")
        sealing, entropy = watchword.outbox_sealing, watchword.entropy
        row = seal_mail(mail, sealing, entropy, lane=Lane.CONFIRMED)
        await watchword.stores.outbox.add([row])
        return row.sealed[:4].hex()

    async def start(watchword: Watchword) -> None:
        await watchword.start(reseal=True)

    terminal.data.mkdir()
    (terminal.data / "secret").write_text(OLD)
    old = terminal.engine(post)
    (terminal.data / "secret").write_text(f"{NEW}\n{OLD}\n")
    terminal.engine(serve)
    (_, waiting) = told(terminal, NEW, OLD)
    assert (waiting["mailsSealed"], waiting["mayGoFrom"]) == (1, None)
    (_, missing) = told(terminal, NEW)
    assert (missing["fingerprint"], missing["does"]) == (old, "is missing")
    refused = terminal.run("serve", "--port", "0", code=1).stderr
    assert f"1 mail waits under the server secret {old}, which is not in" in refused
    assert "1 mail waits" in terminal.run("check", code=1).stderr
    (terminal.data / "secret").write_text(f"{NEW}\n{OLD}\n")
    terminal.engine(start)
    (first, second) = told(terminal, NEW, OLD)
    assert (first["mailsSealed"], second["mailsSealed"]) == (1, 0)
    assert second["mayGoFrom"] is not None


def test_factors_outlive_two_changes_of_the_server_secret(terminal: Terminal) -> None:
    """Each start seals them again, and none starts without the secret of one."""

    async def add(watchword: Watchword) -> str:
        ana = await watchword.accounts.register("ana", PASSWORD)
        parts, now = watchword.second_factors, watchword.clock()
        pending = parts.totp.begin(ana.id, "ana")
        code = code_at(b32decode(pending.secret), now // limits.TOTP_STEP)
        row, _ = parts.totp.confirmed(ana.id, pending.factor, code)
        await parts.factors.add(ana.id, row, keep_session=None, by=USER)
        return pending.secret

    async def start(watchword: Watchword) -> None:
        await watchword.start(reseal=True)

    async def verify(watchword: Watchword) -> None:
        ana = await watchword.accounts.get("ana")
        parts, now = watchword.second_factors, watchword.clock()
        rows = (await parts.factors.of(ana.id)).factors
        code = code_at(b32decode(secret), now // limits.TOTP_STEP)
        assert (await parts.totp.spend(list(rows), code)).id == rows[0].id

    def sealed(*secrets: str) -> list[int]:
        return [row["credentialsSealed"] for row in told(terminal, *secrets)]

    terminal.data.mkdir()
    (terminal.data / "secret").write_text(OLD)
    secret = terminal.engine(add, ago=7200)
    for before, after in ((OLD, NEW), (NEW, LAST)):
        assert sealed(after, before) == [0, 1]
        terminal.engine(serve)
        assert sealed(after) == [0, 1]  # the second row is of the one that is missing
        for command in (("serve", "--port", "0"), ("check",)):
            refused = terminal.run(*command, code=1).stderr
            assert "1 second factor is sealed under the server secret" in refused
        assert sealed(after, before) == [0, 1]
        terminal.engine(start)
        assert sealed(after, before) == [1, 0]
    (terminal.data / "secret").write_text(LAST)
    terminal.engine(verify)


def test_the_help_tells_how_to_change_the_server_secret() -> None:
    shown = CliRunner().invoke(main, ["keys", "--help"]).stdout
    for step in ("1. Add the new one behind", "2. Put it in front", "3. Wait until"):
        assert f"\n  {step}" in shown
