"""What a mail says: templates make a message of text and HTML from a `Mail`.

A template is the text of one purpose in one language, such as `de/reset.txt`. It begins
with the lines `Subject:` and `Button:`, and a blank line. `layout.html` makes the HTML
from that text, where the link becomes a button; a language may have an HTML template of
its own for a purpose, such as `de/reset.html`. The folder of the setting is looked at
first, for each template by itself.

Templates get values of ours alone, escaped in HTML. Nothing that a caller typed is
among them, except for an address of which the domain and one letter are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

from watchword.core import limits
from watchword.core.one_time_token import LIVES, mint
from watchword.errors import SettingsError
from watchword.extras import needs
from watchword.mail.addresses import masked
from watchword.mail.locales import folders_of, locales_of
from watchword.mail.message import FALLBACK, TOKENS, Mail, MailPurpose

with needs("watchword[accounts]"):
    import jinja2

_LINE_MAX: Final = 900  # RFC 5322 §2.1.1 allows 998
_PAGES: Final = {
    MailPurpose.CONFIRM: "/confirm",
    MailPurpose.ALREADY_REGISTERED: "/sign-in",
    MailPurpose.INVITATION: "/confirm",
    MailPurpose.RESET: "/reset",
    MailPurpose.CONFIRM_EMAIL: "/confirm",
    MailPurpose.EMAIL_CHANGED: "/confirm",
    MailPurpose.PASSWORD_CHANGED: "/forgot",
    MailPurpose.NEW_NETWORK: "/account",
    MailPurpose.FACTOR_ADDED: "/account",
    MailPurpose.FACTOR_REMOVED: "/account",
    MailPurpose.FACTOR_RENAMED: "/account",
    MailPurpose.FACTORS_RESET: "/account",
    MailPurpose.RECOVERY_CODES_MADE: "/account",
    MailPurpose.RECOVERY_CODE_USED: "/account",
    MailPurpose.FACTOR_FAILED: "/forgot",
    MailPurpose.FACTOR_LOCKED: "/forgot",
    MailPurpose.PASSKEY_COUNTER: "/account",
    MailPurpose.ENROL: "/enrol",
}


class Content(NamedTuple):
    """What a mail says, before it has an address."""

    subject: str
    text: str
    html: str


@cache
def _environment(templates: Path | None) -> jinja2.Environment:
    """The templates, compiled once in a process."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders_of(templates)),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Composer:
    """Makes messages. `links` is the base of the pages that links lead to.

    `service` is the name that people know, `sender` the address in `From`. `templates`
    is a folder of which the part `mail/` wins over the templates here. `locales` are
    the languages that have a template.
    """

    def __init__(
        self, *, service: str, sender: str, links: str, templates: Path | None = None
    ) -> None:
        self._sender = Address(service, addr_spec=sender)
        self._service = service
        self._links = links.rstrip("/")
        self._environment = _environment(templates)
        self.locales = locales_of(templates)

    def compose(self, mail: Mail, message_id: bytes) -> EmailMessage:
        """The message: the same bytes for the same mail and id.

        Raises SettingsError for a template that is wrong.
        """
        content = self.content(mail)
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = Address(addr_spec=mail.to)
        message["Subject"] = content.subject
        message["Date"] = format_datetime(_moment(mail.at))
        message["Message-ID"] = f"<{message_id.hex()}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer, no absence
        message.set_content(content.text, cte=_encoding(content.text))
        message.add_alternative(
            content.html, subtype="html", cte=_encoding(content.html)
        )
        message.set_boundary(f"=_{message_id.hex()}")
        return message

    def content(self, mail: Mail) -> Content:
        """Subject, text and HTML. Raises SettingsError for a template that is wrong."""
        named = f"{mail.purpose}.txt"
        try:
            wanted = [one for one in (mail.locale, FALLBACK) if one in self.locales]
            source = self._environment.select_template(
                [f"{language}/{named}" for language in wanted]
            )
            language = str(source.name).partition("/")[0]
            values = self._values(mail) | {"language": language}
            head, _, body = source.render(values).strip().partition("\n\n")
            said = dict(_lines(head))
            html = self._environment.select_template(
                [f"{language}/{mail.purpose}.html", "layout.html"]
            ).render(
                values,
                subject=said["subject"],
                button=said.get("button", ""),
                paragraphs=[" ".join(part.split()) for part in body.split("\n\n")],
            )
        except KeyError:
            raise _fault(named, "it must begin with a line Subject:") from None
        except jinja2.TemplateNotFound as error:
            raise _fault(str(error.name), "there is no such template") from None
        except jinja2.TemplateSyntaxError as error:
            raise _fault(f"{error.name}, line {error.lineno}", str(error)) from None
        except jinja2.TemplateError as error:
            raise _fault(named, str(error)) from None
        return Content(said["subject"], f"{body}\n", html)

    def check(self) -> None:
        """Raises SettingsError for a template that is wrong, of any purpose."""
        for locale, purpose in product(self.locales, MailPurpose):
            self.content(sample(purpose, 0, locale=locale))

    def _values(self, mail: Mail) -> dict[str, Any]:
        kind = TOKENS.get(mail.purpose)
        life = 0 if kind is None else LIVES[kind]
        page = _PAGES.get(mail.purpose)
        link = "" if page is None else self._links + page
        return {
            "service": self._service,
            "links": self._links,
            # Behind `#` it is in no log and no Referer, and a scanner's GET lacks it.
            "link": f"{link}#{mail.token}" if mail.token else link,
            "token": mail.token,
            "masked": mail.masked,
            "network": mail.network,
            "factor": mail.factor,
            "left": mail.left,
            "at": f"{_moment(mail.at):%Y-%m-%d %H:%M} UTC",
            "few": limits.RECOVERY_CODES_FEW,
            "minutes": life // limits.MINUTE,
            "hours": life // limits.HOUR,
            "days": life // limits.DAY,
        }


def sample(purpose: MailPurpose, at: int, *, locale: str, to: str = "") -> Mail:
    """A mail as it would be, with a token that opens nothing."""
    kind = TOKENS.get(purpose)
    return Mail(
        purpose=purpose,
        at=at,
        locale=locale,
        to=to,
        token="" if kind is None else mint(kind, bytes(limits.ONE_TIME_BYTES)),
        masked=masked("new@example.org"),
        network="192.0.2.1",
        factor="totp",
        left=limits.RECOVERY_CODES_FEW,
    )


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at // limits.SECOND, UTC)


def _lines(head: str) -> Iterator[tuple[str, str]]:
    for line in head.splitlines():
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()


def _encoding(text: str) -> str:
    """The transfer encoding: what every mail server takes as it is."""
    plain = text.isascii() and max(map(len, text.splitlines())) <= _LINE_MAX
    return "7bit" if plain else "quoted-printable"


def _fault(template: str, why: str) -> SettingsError:
    return SettingsError([f"WATCHWORD_TEMPLATES: mail template {template}: {why}"])
