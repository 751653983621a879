"""The sender in an engine: it follows the issuer, and apps with users have none."""

from __future__ import annotations

from pathlib import Path

from watchword.bootstrap import open_watchword
from watchword.config import load_settings
from watchword.mail.message import Mail, MailPurpose
from watchword.passwords import INSECURE_FOR_TESTS
from watchword.sign_in.own_users import Credentials


async def test_links_and_sender_follow_an_issuer_that_is_learned(
    tmp_path: Path,
) -> None:
    """An app learns where it is served from its first request."""
    settings = load_settings(data=tmp_path, database_url="memory:", registration="open")
    async with open_watchword(
        settings, hashing=INSECURE_FOR_TESTS, background=False
    ) as engine:
        assert engine.self_service is not None
        assert engine.mail is not None
        engine.issue_as("http://[::1]:8123")
        ask = engine.self_service.registrations.ask
        await ask("ana@example.org", "four words make a phrase")
        await engine.mail.send_due()
        await engine.mail.close()
    (mail,) = settings.outbox_folder.glob("*.eml")
    assert "\nhttp://[::1]:8123/confirm#ww_cf_" in mail.read_text()
    assert "no-reply@[IPv6:::1]" in mail.read_text()


async def test_an_app_with_users_of_its_own_sends_nothing(tmp_path: Path) -> None:
    async def authenticate(_: Credentials) -> None:
        return None

    async with open_watchword(
        load_settings(data=tmp_path, database_url="memory:"),
        authenticate=authenticate,
        background=False,
    ) as engine:
        assert engine.mail is None


async def test_every_mail_has_a_part_that_decides_what_becomes_of_it(
    tmp_path: Path,
) -> None:
    """But for what is not in the outbox: the test, and what a confirmation becomes."""
    settings = load_settings(data=tmp_path, database_url="memory:")
    async with open_watchword(settings, background=False) as engine:
        assert engine.self_service is not None
        for purpose in {*MailPurpose} - {
            MailPurpose.TEST,
            MailPurpose.ALREADY_REGISTERED,
        }:
            mail = Mail(purpose=purpose, at=engine.clock(), to="ana@example.org")
            await engine.self_service.decide(mail)
