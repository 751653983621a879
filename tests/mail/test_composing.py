"""What mails say: every purpose in each language, and nothing that a caller typed."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from watchword.core import limits
from watchword.core.one_time_token import mint
from watchword.errors import SettingsError
from watchword.mail.composing import Composer
from watchword.mail.message import NOTICES, TOKENS, Mail, MailPurpose
from watchword.testing.fakes import START

ID = bytes(range(16))
LINKS = "https://app.example/me"
MAILS = [(purpose, locale) for purpose in MailPurpose for locale in ("en", "de")]


def a_composer(service: str = "Tide Tables", templates: Path | None = None) -> Composer:
    return Composer(
        service=service,
        sender="no-reply@id.example",
        links=f"{LINKS}/",
        templates=templates,
    )


def a_mail(purpose: MailPurpose, locale: str = "en") -> Mail:
    kind = TOKENS.get(purpose)
    return Mail(
        purpose=purpose,
        at=START,
        locale=locale,
        to="ana@example.org",
        token="" if kind is None else mint(kind, bytes(32)),
        masked="n•••@example.net",
    )


def parts(message: EmailMessage) -> tuple[str, str]:
    """Text and HTML, as a mail program reads them."""
    read = message_from_bytes(message.as_bytes(), EmailMessage, policy=SMTP)
    assert not read.defects
    text, html = read.get_body(("plain",)), read.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content().replace("\r\n", "\n"), html.get_content()


@pytest.mark.parametrize(("purpose", "locale"), MAILS)
def test_every_mail_says_the_same_in_text_and_in_html(
    purpose: MailPurpose, locale: str
) -> None:
    mail = a_mail(purpose, locale)
    text, html = parts(a_composer().compose(mail, ID))
    assert f'<html lang="{locale}">' in html
    assert "Tide Tables" in text
    assert max(map(len, text.splitlines())) <= 100
    read = re.sub(r"<[^>]+>", " ", html)
    for paragraph in text.split("\n\n"):
        said = " ".join(paragraph.split())
        assert said in html or said in " ".join(read.split())
    assert "{{" not in text + html
    if mail.token:
        paths = {MailPurpose.RESET: "reset", MailPurpose.ENROL: "enrol"}
        path = paths.get(purpose, "confirm")
        link = f"{LINKS}/{path}#{mail.token}"
        assert f"\n{link}\n" in text
        assert f'href="{link}"' in html
        assert re.search(r'class="button".*>\w[^<]+</a>', html)
        assert f"\n{mail.token}\n" in text


def test_the_languages_say_different_things_of_the_same_mails() -> None:
    composer = a_composer()
    assert composer.locales == ["de", "en"]
    for purpose in MailPurpose:
        en, de = (composer.content(a_mail(purpose, one)) for one in ("en", "de"))
        assert en.subject != de.subject
        for unknown in ("eo", "", "../de", "/de", "DE"):
            assert composer.content(a_mail(purpose, unknown)) == en


def test_a_mail_is_the_same_bytes_at_every_try() -> None:
    mail = a_mail(MailPurpose.RESET, "de")
    first, second = (a_composer().compose(mail, ID).as_bytes() for _ in range(2))
    assert first == second


def test_a_mail_is_from_the_service_by_a_program_and_readable_as_it_is() -> None:
    message = a_composer("Ünit, Ltd").compose(a_mail(MailPurpose.RESET), ID)
    assert message["from"].addresses[0].display_name == "Ünit, Ltd"
    assert message["from"].addresses[0].addr_spec == "no-reply@id.example"
    assert message["to"] == "ana@example.org"
    assert message["auto-submitted"] == "auto-generated"
    assert message["message-id"] == f"<{ID.hex()}@id.example>"
    assert message["date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    raw = message.as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) < 998
    plain = a_composer().compose(a_mail(MailPurpose.RESET), ID).as_bytes()
    assert a_mail(MailPurpose.RESET).token.encode() in plain


def test_lives_are_those_that_tokens_have() -> None:
    said = {
        purpose: a_composer().content(a_mail(purpose)).text for purpose in MailPurpose
    }
    assert "within 24 hours" in said[MailPurpose.CONFIRM]
    assert "within 30 minutes" in said[MailPurpose.RESET]
    assert "within 7 days" in said[MailPurpose.EMAIL_CHANGED]
    assert "n•••@example.net" in said[MailPurpose.EMAIL_CHANGED]
    for notice in NOTICES:
        assert "2027-01-15 08:00 UTC" in said[notice]


@pytest.mark.parametrize("left", [0, 1, 3, 4])
def test_few_recovery_codes_are_told(left: int) -> None:
    mail = Mail(purpose=MailPurpose.RECOVERY_CODE_USED, at=START, left=left)
    text = a_composer().content(mail).text
    assert ("none left" if left == 0 else f" {left} left.") in text
    assert ("Make new ones now." in text) == (left <= limits.RECOVERY_CODES_FEW)


def test_what_an_operator_named_is_escaped() -> None:
    message = a_composer("<b>Us & them</b>").compose(a_mail(MailPurpose.TEST), ID)
    text, html = parts(message)
    assert "<b>Us & them</b>" in text
    assert "&lt;b&gt;Us &amp; them&lt;/b&gt;" in html
    assert "<b>" not in html


@pytest.mark.parametrize("to", ["a@b.example\r\nBcc: c@d.example", "a@b, c@d"])
def test_no_address_adds_a_header_or_a_recipient(to: str) -> None:
    mail = Mail(purpose=MailPurpose.TEST, at=START, to=to)
    with pytest.raises(ValueError, match=r".+"):
        a_composer().compose(mail, ID)


def test_templates_are_replaced_one_by_one(tmp_path: Path) -> None:
    for language in ("de", "eo"):
        (tmp_path / "mail" / language).mkdir(parents=True)
    folder = tmp_path / "mail"
    (folder / "de" / "reset.txt").write_text("Subject: Neu\n\nHier: {{ token }}\n")
    (folder / "eo" / "reset.txt").write_text("Subject: Nova ŝlosilo\n\n{{ link }}\n")
    (folder / "eo" / "reset.html").write_text("<p>{{ service }}: {{ subject }}</p>")
    composer = a_composer("<us>", templates=tmp_path)
    assert composer.locales == ["de", "en", "eo"]
    mail = a_mail(MailPurpose.RESET, "de")
    german = composer.content(mail)
    assert (german.subject, german.text) == ("Neu", f"Hier: {mail.token}\n")
    assert "<title>Neu</title>" in german.html
    esperanto = composer.content(a_mail(MailPurpose.RESET, "eo"))
    assert esperanto.html == "<p>&lt;us&gt;: Nova ŝlosilo</p>"
    other = a_mail(MailPurpose.CONFIRM, "de")
    assert composer.content(other) == a_composer("<us>").content(other)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("Hello", "must begin with a line Subject:"),
        ("Subject: a\n\n{{ pasword }}", "'pasword' is undefined"),
        ("Subject: a\n\n{% if %}", "de/reset.txt, line 3"),
        ("Subject: a\n\n{% include 'none.txt' %}", "none.txt: there is no such"),
    ],
)
def test_a_template_that_is_wrong_is_named(
    template: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "mail" / "de").mkdir(parents=True)
    (tmp_path / "mail" / "de" / "reset.txt").write_text(template)
    composer = a_composer(templates=tmp_path)
    with pytest.raises(SettingsError, match="WATCHWORD_TEMPLATES") as raised:
        composer.compose(a_mail(MailPurpose.RESET, "de"), ID)
    assert fault in raised.value.faults[0]
