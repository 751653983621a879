"""GET /console/events: the audit log, followed and downloaded."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.audit import facts_of
from watchword.core.limits import ADMIN_LIST_MAX, AUDIT_RETENTION, DAY
from watchword.core.session import from_text
from watchword.errors import InvalidRequest
from watchword.ports.audit import EventFilter
from watchword.server.admin_auth import admin_of
from watchword.server.console.events import EventRows, Events, Filters
from watchword.server.console.screens import Fault
from watchword.server.console_response import part_of, screen_of
from watchword.server.endpoints.console.naming import account_of, event_lines
from watchword.server.endpoints.console.refusing import search_fault
from watchword.server.endpoints.console.visitor import Admin, for_admin
from watchword.server.operation import screen_operations
from watchword.server.pages.rendering import HEADERS
from watchword.server.parsing import query_of

DOWNLOAD_MAX: Final = 10_000
"""Events of one download: a few MiB, and a second of the store's time."""

_DIGITS_MAX: Final = 18
_NO_ACCOUNT: Final = "There is no account of that name or address"
_JSONL: Final = HEADERS | {"content-disposition": 'attachment; filename="events.jsonl"'}
_encoder: Final = msgspec.json.Encoder()


@for_admin
async def show(request: Request, admin: Admin) -> Response:
    given = query_of(request)
    filters = Filters(
        type=given.get("type", ""),
        account=given.get("account", "").strip(),
        address=given.get("address", "").strip(),
        session=given.get("session", ""),
        since=given.get("from", ""),
        until=given.get("to", ""),
    )
    view = Events(filters=filters, days=AUDIT_RETENTION // DAY)
    since = _sequence(given) if given.get("part") == "rows" else None
    try:
        wanted, topic = await _wanted(request, given)
        if given.get("format") == "jsonl":
            return await _download(request, wanted, topic)
        events = admin_of(request).events
        if since is not None:
            found = await events.since(wanted, since, ADMIN_LIST_MAX, topic=topic)
            rows = EventRows(lines=await event_lines(request, found))
            return part_of(request, admin, rows)
        page = await events.list(wanted, topic=topic, after=given.get("after"))
    except InvalidRequest as error:
        view = msgspec.structs.replace(view, faults=(_fault(error),))
        return screen_of(request, admin, view, status=422)
    view = msgspec.structs.replace(
        view,
        lines=await event_lines(request, page.items),
        next=page.next,
        is_later="after" in given,
        last=page.items[0][0] if page.items else 0,
    )
    return screen_of(request, admin, view)


async def _wanted(request: Request, given: dict[str, str]) -> tuple[EventFilter, str]:
    """What the engine is to look for, and the topic. Raises InvalidRequest."""
    events, name = admin_of(request).events, given.get("account", "").strip()
    if name:
        found = await account_of(request, name)
        # One that was deleted still has its events, under its id.
        if found is None and from_text(name) is None:
            raise InvalidRequest(_NO_ACCOUNT)
        given = given | {"account": name if found is None else found.subject}
    return events.wanted_of(given)


def _fault(error: InvalidRequest) -> Fault:
    is_account = str(error) == _NO_ACCOUNT
    return Fault(_NO_ACCOUNT, "account") if is_account else search_fault(error)


def _sequence(given: dict[str, str]) -> int:
    text = given.get("since", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    if not is_number:
        raise InvalidRequest("since is a sequence number.")
    return int(text)


async def _download(request: Request, wanted: EventFilter, topic: str) -> Response:
    """The newest DOWNLOAD_MAX of them, one JSON object a line."""
    events, body = admin_of(request).events, bytearray()
    after, left = None, DOWNLOAD_MAX
    # A page may be short: so their number is bounded too.
    for _ in range(2 * DOWNLOAD_MAX // ADMIN_LIST_MAX):
        limit = min(left, ADMIN_LIST_MAX)
        page = await events.list(wanted, topic=topic, after=after, limit=limit)
        for sequence, event in page.items:
            body += _encoder.encode(facts_of(sequence, event)) + b"\n"
        left -= len(page.items)
        after = page.next
        if after is None or not left:
            break
    return Response(bytes(body), headers=_JSONL, media_type="application/jsonl")


ENDPOINTS: Final = screen_operations("events", show)
