"""The calls of /api/admin/mail: what waits, and a test. Never the body of a message."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.admin.mail import written_at
from watchword.config import Settings
from watchword.core.session import as_text
from watchword.mail.url import parse_mail_url
from watchword.ports.audit import Event
from watchword.ports.outbox import Lane, LeasedMessage
from watchword.server.admin_auth import admin_of, changes, reader, shows, writer
from watchword.server.endpoints.admin.fields import NEXT, PAGE, RequestBody, page_query
from watchword.server.parsing import engine_of, parse_json, read_body
from watchword.server.responses import JSON, utc


class WaitingMail(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A message that waits. It is sealed: its address is not shown.

    `account` is the id of the account that it is about. `network` is the address of the
    request that caused it. Those in the lane `unknown` are for addresses that no
    account has confirmed. Times are UTC.
    """

    id: str
    lane: Lane
    account: str | None
    network: str
    attempts: int
    created_at: datetime
    next_at: datetime


class FailedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up: what it was for, and why. `at` is UTC."""

    id: str
    at: datetime
    account: str | None
    purpose: str | None
    reason: str


class MailView(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """How mail does, and a page of the messages that wait, the oldest first.

    `server` is its host and port, `outbox:` for a folder of files, and null where no
    mail can be sent. `sent` and `givenUp` count the last 24 hours; `failures` are the
    newest of those that were given up.
    """

    server: str | None
    sender: str
    waiting: int
    waiting_since: datetime | None
    sent: int
    given_up: int
    failures: list[FailedMail]
    items: list[WaitingMail]
    next: str | None


class TestMail(RequestBody, frozen=True):
    """Where to send it, and in which language."""

    to: Annotated[str, msgspec.Meta(max_length=1024)]
    locale: Annotated[str, msgspec.Meta(max_length=64)] = ""


class TestedMail(msgspec.Struct, frozen=True):
    """Whether the mail server took the message, and if not, why."""

    sent: bool
    reason: str | None


_TEST: Final = msgspec.json.Decoder(TestMail)


async def show(request: Request) -> Response:
    await reader(request)
    mail, settings = admin_of(request).mail, engine_of(request).settings
    query = page_query(request)
    page = await mail.list(after=query.after, limit=query.limit)
    state = await mail.state()
    since = state.waiting_since
    content = MailView(
        server=server_of(settings),
        sender=settings.effective_mail_from,
        waiting=state.waiting,
        waiting_since=None if since is None else utc(since),
        sent=state.sent,
        given_up=state.given_up,
        failures=list(map(_failed, state.failures)),
        items=list(map(_waiting, page.items)),
        next=page.next,
    )
    return JSON(content)


SHOW = shows(
    "/mail",
    show,
    summary="Mail",
    description=f"Never the body of a message, nor its address. {NEXT}",
    query=PAGE,
    response=MailView,
)


async def test(request: Request) -> Response:
    operator = await writer(request)
    body = parse_json(request, await read_body(request), _TEST)
    mail = admin_of(request).mail
    reason = await mail.test(operator, body.to, locale=body.locale)
    return JSON(TestedMail(not reason, reason or None))


TEST = changes(
    "POST",
    "/mail/test",
    test,
    summary="Send a test",
    description=(
        "It is sent at once, and the answer says what the mail server did: that may "
        "take half a minute. 404 where no mail can be sent."
    ),
    request=TestMail,
    example={"to": "ann@example.org"},
    response=TestedMail,
    errors=(errors.EmailInvalid, errors.Throttled),
)


def server_of(settings: Settings) -> str | None:
    """Where mail goes, without the account there."""
    url = settings.effective_mail_url
    server = None if url is None else parse_mail_url(url)
    return url if server is None else f"{server.host}:{server.port}"


def _waiting(leased: LeasedMessage) -> WaitingMail:
    row = leased.message
    return WaitingMail(
        id=row.id.hex(),
        lane=row.lane,
        account=None if row.account_id is None else as_text(row.account_id),
        network=row.network,
        attempts=leased.attempts,
        created_at=utc(written_at(leased)),
        next_at=utc(row.not_before),
    )


def _failed(event: Event) -> FailedMail:
    account, purpose = event.account_id, event.detail.get("purpose")
    return FailedMail(
        id=str(event.detail.get("message", "")),
        at=utc(event.at),
        account=None if account is None else as_text(account),
        purpose=None if purpose is None else str(purpose),
        reason=str(event.detail.get("reason", "")),
    )
