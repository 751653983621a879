"""GET /sessions and DELETE /sessions/{id}: the account's devices, and ending one."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.session import Session, as_text, from_text
from watchword.errors import NotFound
from watchword.server.answers import JSON
from watchword.server.endpoints.secure import ACCESS_ERRORS
from watchword.server.openapi import BASE, Operation
from watchword.server.parsing import authenticate_user, client_address, engine_of


class Device(msgspec.Struct, frozen=True, rename="camel"):
    """One session. Times are UTC; `address` is that of the last refresh."""

    id: str
    client_id: str
    current: bool
    signed_in_at: datetime
    last_refresh_at: datetime
    expires_at: datetime
    address: str
    user_agent: str


class Devices(msgspec.Struct, frozen=True):
    sessions: list[Device]


LIST = Operation(
    method="GET",
    path=f"{BASE}/sessions",
    summary="My sessions",
    description="Where this account is signed in; `current` is the one that asks.",
    response=Devices,
    bearer=True,
    errors=(*ACCESS_ERRORS, errors.InsufficientScope),
)

END = Operation(
    method="DELETE",
    path=f"{BASE}/sessions/{{id}}",
    summary="End one of my sessions",
    status=204,
    bearer=True,
    errors=(*ACCESS_ERRORS, errors.InsufficientScope, errors.NotFound),
)


async def list_sessions(request: Request) -> Response:
    account_id, current = await authenticate_user(request)
    sessions = engine_of(request).sessions
    rows = await sessions.list_of_account(account_id)
    devices = [_device(row, sessions.ends_at(row), current) for row in rows]
    return JSON(Devices(devices))


async def end_session(request: Request) -> Response:
    account_id, _ = await authenticate_user(request)
    sessions = engine_of(request).sessions
    session_id = from_text(request.path_params["id"])
    if session_id is None:
        raise NotFound
    # Another account's session and one that never was look the same.
    session = await sessions.get(session_id)
    if session is None or session.account_id != account_id:
        raise NotFound
    await sessions.end_one(session_id, "ended by user", address=client_address(request))
    return Response(status_code=204, headers={"cache-control": "no-store"})


def _device(row: Session, ends_at: int, current: str) -> Device:
    sid = as_text(row.id)
    return Device(
        sid,
        row.client_id,
        sid == current,
        _utc(row.authenticated_at),
        _utc(row.rotated_at),
        _utc(ends_at),
        row.address,
        row.user_agent,
    )


def _utc(instant: int) -> datetime:
    return datetime.fromtimestamp(instant // 1000, UTC)
