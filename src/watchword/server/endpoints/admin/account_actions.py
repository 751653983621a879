"""POST /api/admin/accounts/{id}/disable, enable, end-sessions and the like."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.server.admin_auth import admin_of, changes, version_of, writer
from watchword.server.endpoints.admin.account_fields import (
    AccountView,
    ChangedAccount,
    shown,
)
from watchword.server.endpoints.admin.accounts import ONE

_NO_ADMIN = "A client cannot do it with an account of an admin."


async def disable(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    count = await admin_of(request).accounts.disable(operator, subject, version)
    return await shown(request, subject, revoked=count)


DISABLE = changes(
    "POST",
    f"{ONE}/disable",
    disable,
    summary="Disable an account",
    description=(
        "It is refused from now on, and all of its sessions end. The last enabled "
        f"account of the admin role stays. {_NO_ADMIN}"
    ),
    is_versioned=True,
    response=ChangedAccount,
    errors=(errors.LastAdmin,),
)


async def enable(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    await admin_of(request).accounts.enable(operator, subject, version)
    return await shown(request, subject)


ENABLE = changes(
    "POST",
    f"{ONE}/enable",
    enable,
    summary="Enable an account",
    description=(
        f"It can sign in again. Sessions that have ended stay so. {_NO_ADMIN}"
    ),
    is_versioned=True,
    response=AccountView,
)


async def send_reset(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    await admin_of(request).accounts.send_reset(operator, subject, version)
    return await shown(request, subject)


SEND_RESET = changes(
    "POST",
    f"{ONE}/send-reset",
    send_reset,
    summary="Mail an account a link for a new password",
    description=(
        "400 for an account that is disabled or has no confirmed address; 404 where no "
        f"mail can be sent. {_NO_ADMIN}"
    ),
    is_versioned=True,
    response=AccountView,
)


async def reset_factors(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    await admin_of(request).accounts.reset_factors(operator, subject, version)
    return await shown(request, subject)


RESET_FACTORS = changes(
    "POST",
    f"{ONE}/reset-factors",
    reset_factors,
    summary="Remove the second factors of an account",
    description=(
        "Its recovery codes go too, and all of its sessions end. Its addresses get a "
        f"notice. {_NO_ADMIN}"
    ),
    is_versioned=True,
    response=AccountView,
)


async def end_sessions(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    count = await admin_of(request).accounts.end_sessions(operator, subject, version)
    return await shown(request, subject, revoked=count)


END_SESSIONS = changes(
    "POST",
    f"{ONE}/end-sessions",
    end_sessions,
    summary="End all sessions of an account",
    description=_NO_ADMIN,
    is_versioned=True,
    response=ChangedAccount,
)
