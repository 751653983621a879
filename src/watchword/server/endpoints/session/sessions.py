"""GET /sessions and DELETE /sessions/{id}: list an account's sessions, and end one."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.actor import EndReason
from watchword.core.limits import LIST_LIMIT, LIST_PAGE
from watchword.core.session import Session, as_text, from_text
from watchword.errors import InvalidRequest, NotFound
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    by_user,
    engine_of,
    query_of,
)
from watchword.server.responses import JSON, utc
from watchword.server.token_auth import ACCESS_ERRORS, authenticate_owner


class Device(msgspec.Struct, frozen=True, rename="camel"):
    """One session. Times are UTC; `address` is that of the last refresh.

    The client `_pages` is a browser that is signed in at this server. `startedFrom` is
    the id of that session where a browser's sign-in let this one in: it ends with it.
    """

    id: str
    client_id: str
    current: bool
    signed_in_at: datetime
    last_refresh_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    started_from: str | None


class Devices(msgspec.Struct, frozen=True):
    """A page. `next` is the `after` of the page that follows, null at the end.

    A page may have fewer sessions than were asked for, or none, and another follow.
    """

    sessions: list[Device]
    next: str | None


After = Annotated[
    str, msgspec.Meta(title="after", description="The `next` of the page before.")
]
Limit = Annotated[
    int,
    msgspec.Meta(
        title="limit",
        description=f"Sessions on a page at most; {LIST_PAGE} where it is left out.",
        ge=1,
        le=LIST_LIMIT,
    ),
]


async def list_sessions(request: Request) -> Response:
    account_id, current = await authenticate_owner(request)
    sessions = engine_of(request).sessions
    after, limit = _query(request)
    page = await sessions.page(account_id, after=after, limit=limit)
    devices = [_device(row, sessions.ends_at(row), current) for row in page.sessions]
    onward = page.onward
    return JSON(Devices(devices, None if onward is None else as_text(onward)))


LIST = Operation(
    method="GET",
    path=f"{BASE}/sessions",
    handler=list_sessions,
    summary="My sessions",
    description=(
        "Where this account is signed in, newest sign-in first; `current` is the one "
        "that asks."
    ),
    query={"after": After, "limit": Limit},
    response=Devices,
    bearer=True,
    errors=(*ACCESS_ERRORS, errors.InsufficientScope),
)


def _query(request: Request) -> tuple[bytes | None, int]:
    """Where the page begins, and how many it has at most. Raises InvalidRequest."""
    fields = query_of(request)
    text, after = fields.get("after"), None
    if text is not None:
        after = from_text(text)
        if after is None:
            raise InvalidRequest("after is the next of the page before.")
    limit = fields.get("limit", str(LIST_PAGE))
    valid = re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= LIST_LIMIT
    if not valid:
        raise InvalidRequest(f"limit is a number from 1 to {LIST_LIMIT}.")
    return after, int(limit)


async def end_session(request: Request) -> Response:
    account_id, _ = await authenticate_owner(request)
    sessions = engine_of(request).sessions
    session_id = from_text(request.path_params["id"])
    if session_id is None:
        raise NotFound
    # A session of another account gets the same answer as one that never existed.
    session = await sessions.get(session_id)
    if session is None or session.account_id != account_id:
        raise NotFound
    await sessions.end_one(session_id, EndReason.ENDED_BY_USER, by=by_user(request))
    return Response(status_code=204, headers={"cache-control": "no-store"})


END = Operation(
    method="DELETE",
    path=f"{BASE}/sessions/{{id}}",
    handler=end_session,
    summary="End one of my sessions",
    description=(
        "With the sign-in of a browser (`clientId` is `_pages`) the sessions end that "
        "it let in, but for those with the scope `offline_access`. Any other session "
        "ends alone."
    ),
    status=204,
    bearer=True,
    errors=(*ACCESS_ERRORS, errors.InsufficientScope, errors.NotFound),
)


def _device(row: Session, ends_at: int, current: str) -> Device:
    sid = as_text(row.id)
    return Device(
        sid,
        row.client_id,
        sid == current,
        utc(row.authenticated_at),
        utc(row.rotated_at),
        utc(ends_at),
        row.address,
        row.user_agent,
        None if row.started_from is None else as_text(row.started_from),
    )
