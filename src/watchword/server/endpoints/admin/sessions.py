"""The calls of /api/admin/sessions, and the sessions of one account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.admin.pages import Page
from watchword.core.session import Session, as_text
from watchword.server.admin_auth import admin_of, changes, reader, shows, writer
from watchword.server.endpoints.admin.fields import (
    NEXT,
    PAGE,
    AccountQuery,
    ClientQuery,
    RequestBody,
    page_query,
)
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import JSON, done, utc


class SessionItem(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A session. Times are UTC; `address` is that of the last refresh.

    `account` is the id of its account. The client `_pages` is a browser that is signed
    in at this server; `startedFrom` is the id of that session where a browser's sign-in
    let this one in. `bound`: it works only with proofs of a DPoP key.
    """

    id: str
    account: str
    client_id: str
    scope: str
    acr: str
    amr: tuple[str, ...]
    bound: bool
    cookie: bool
    signed_in_at: datetime
    last_refresh_at: datetime
    expires_at: datetime
    refreshes: int
    address: str
    user_agent: str
    started_from: str | None


class SessionList(msgspec.Struct, frozen=True):
    """A page of live sessions, newest sign-in first."""

    items: list[SessionItem]
    next: str | None


class EndBefore(RequestBody, frozen=True):
    """The instant before which a session was signed in that shall end."""

    before: Annotated[datetime, msgspec.Meta(tz=True)]


class Ended(msgspec.Struct, frozen=True):
    """How many sessions were alive until now."""

    revoked: int


_BEFORE: Final = msgspec.json.Decoder(EndBefore)


def listed(request: Request, page: Page[Session]) -> Response:
    """The answer with these sessions."""
    ends_at = admin_of(request).sessions.ends_at
    items = [_shown(row, ends_at(row)) for row in page.items]
    return JSON(SessionList(items, page.next))


async def list_sessions(request: Request) -> Response:
    await reader(request)
    query = page_query(request)
    page = await admin_of(request).sessions.list(
        account=query.fields.get("account"),
        client=query.fields.get("client"),
        after=query.after,
        limit=query.limit,
    )
    return listed(request, page)


LIST = shows(
    "/sessions",
    list_sessions,
    summary="Sessions",
    description=f"Those that have not ended, newest sign-in first. {NEXT}",
    query={"account": AccountQuery, "client": ClientQuery, **PAGE},
    response=SessionList,
)


async def list_of_account(request: Request) -> Response:
    await reader(request)
    query = page_query(request)
    page = await admin_of(request).accounts.sessions(
        request.path_params["id"], after=query.after, limit=query.limit
    )
    return listed(request, page)


OF_ACCOUNT = shows(
    "/accounts/{id}/sessions",
    list_of_account,
    summary="Sessions of an account",
    description=f"Those that have not ended, newest sign-in first. {NEXT}",
    query=PAGE,
    response=SessionList,
    errors=(errors.NotFound,),
)


async def end(request: Request) -> Response:
    operator = await writer(request)
    await admin_of(request).sessions.end(operator, request.path_params["id"])
    return done()


END = changes(
    "DELETE",
    "/sessions/{id}",
    end,
    summary="End a session",
    description=(
        "With the sign-in of a browser (`clientId` is `_pages`) the sessions end that "
        "it let in, but for those with the scope `offline_access`. One that has ended "
        "already is no error. A client can end no session of an admin."
    ),
    status=204,
)


async def end_before(request: Request) -> Response:
    operator = await writer(request)
    operator.need_user()
    body = parse_json(request, await read_body(request), _BEFORE)
    instant = int(body.before.timestamp() * 1000)
    return JSON(Ended(await admin_of(request).sessions.end_before(operator, instant)))


END_BEFORE = changes(
    "POST",
    "/sessions/end-before",
    end_before,
    summary="End all sessions that were signed in before an instant",
    description="Those of the caller too. No client can do it.",
    request=EndBefore,
    example={"before": "2027-01-15T08:00:00Z"},
    response=Ended,
)


def _shown(row: Session, ends_at: int) -> SessionItem:
    return SessionItem(
        id=as_text(row.id),
        account=as_text(row.account_id),
        client_id=row.client_id,
        scope=" ".join(row.scope),
        acr=row.acr,
        amr=row.amr,
        bound=row.jkt is not None,
        cookie=row.cookie,
        signed_in_at=utc(row.authenticated_at),
        last_refresh_at=utc(row.rotated_at),
        expires_at=utc(ends_at),
        refreshes=row.generation,
        address=row.address,
        user_agent=row.user_agent,
        started_from=None if row.started_from is None else as_text(row.started_from),
    )
