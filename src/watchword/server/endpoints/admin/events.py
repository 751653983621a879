"""GET /api/admin/events, and the events of one account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.limits import ADDRESS_MAX
from watchword.core.session import as_text
from watchword.ports.audit import Event
from watchword.server.admin_auth import admin_of, reader, shows
from watchword.server.endpoints.admin.fields import (
    NEXT,
    PAGE,
    AccountQuery,
    page_query,
)
from watchword.server.responses import JSON, utc
from watchword.webhooks.topics import topics_of


class EventItem(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An event of the audit log. `sequence` rises; `topics` are those of webhooks.

    `account` and `session` are ids, `clientId` that of a client, `address` where the
    request came from. In `detail`, `by` is the kind of actor, and `operator` its name:
    the subject of an admin, the id of a client, or a user of the machine.
    """

    sequence: int
    at: datetime
    type: str
    topics: tuple[str, ...]
    account: str | None
    session: str | None
    client_id: str | None
    address: str
    detail: dict[str, str | int | bool]


class EventList(msgspec.Struct, frozen=True):
    """A page of events, newest first."""

    items: list[EventItem]
    next: str | None


_TYPE = Annotated[
    str,
    msgspec.Meta(
        title="type",
        description=(
            "A type such as `authn_login_success`, a topic of webhooks such as "
            "`session.ended`, or a group of topics such as `sign_in.*`."
        ),
    ),
]
_SESSION = Annotated[
    str, msgspec.Meta(title="session", description="Of the session with that id alone.")
]
_ADDRESS = Annotated[
    str,
    msgspec.Meta(
        title="address",
        description="From that IP address alone.",
        max_length=ADDRESS_MAX,
    ),
]
_FROM = Annotated[
    datetime, msgspec.Meta(title="from", description="Not before that instant.")
]
_TO = Annotated[
    datetime, msgspec.Meta(title="to", description="Only before that instant.")
]
_FILTER = {
    "type": _TYPE,
    "session": _SESSION,
    "address": _ADDRESS,
    "from": _FROM,
    "to": _TO,
    **PAGE,
}


async def list_events(request: Request) -> Response:
    await reader(request)
    return await _listed(request, page_query(request).fields)


LIST = shows(
    "/events",
    list_events,
    summary="Events",
    description=f"The audit log, newest first. {NEXT}",
    query={"account": AccountQuery, **_FILTER},
    response=EventList,
)


async def list_of_account(request: Request) -> Response:
    await reader(request)
    detail = await admin_of(request).accounts.get(request.path_params["id"])
    fields = page_query(request).fields | {"account": detail.account.subject}
    return await _listed(request, fields)


OF_ACCOUNT = shows(
    "/accounts/{id}/events",
    list_of_account,
    summary="Events of an account",
    description=f"The audit log of it, newest first. {NEXT}",
    query=_FILTER,
    response=EventList,
    errors=(errors.NotFound,),
)


async def _listed(request: Request, fields: dict[str, str]) -> Response:
    events, query = admin_of(request).events, page_query(request)
    wanted, topic = events.wanted_of(fields)
    page = await events.list(wanted, topic=topic, after=query.after, limit=query.limit)
    items = [_shown(sequence, event) for sequence, event in page.items]
    return JSON(EventList(items, page.next))


def _shown(sequence: int, event: Event) -> EventItem:
    return EventItem(
        sequence=sequence,
        at=utc(event.at),
        type=event.type.value,
        topics=topics_of(event),
        account=None if event.account_id is None else as_text(event.account_id),
        session=None if event.session_id is None else as_text(event.session_id),
        client_id=event.client_id,
        address=event.address,
        detail=dict(event.detail),
    )
