"""POST /api/admin/accounts/{id}/disable, enable, end-sessions and the like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.admin.accounts import AccountAdmin
from watchword.admin.operators import Operator
from watchword.server.admin_auth import admin_of, changes, version_of, writer
from watchword.server.endpoints.admin.account_fields import (
    AccountView,
    ChangedAccount,
    shown,
)
from watchword.server.endpoints.admin.accounts import ONE
from watchword.server.operation import Operation

_Verb: TypeAlias = Callable[
    [AccountAdmin, Operator, str, int | None], Awaitable[int | None]
]


def _action(
    word: str,
    verb: _Verb,
    description: str,
    *,
    counts: bool = False,
    **fields: Any,  # noqa: ANN401 - those of Operation
) -> Operation:
    """The call of that name. `counts`: it says how many sessions have ended."""

    async def act(request: Request) -> Response:
        operator = await writer(request)
        subject, version = request.path_params["id"], version_of(request)
        count = await verb(admin_of(request).accounts, operator, subject, version)
        return await shown(request, subject, revoked=count if counts else None)

    return changes(
        "POST",
        f"{ONE}/{word}",
        act,
        description=f"{description} A client cannot do it with an account of an admin.",
        is_versioned=True,
        response=ChangedAccount if counts else AccountView,
        **fields,
    )


DISABLE = _action(
    "disable",
    AccountAdmin.disable,
    "It is refused from now on, and all of its sessions end. The last enabled account "
    "of the admin role stays.",
    counts=True,
    summary="Disable an account",
    errors=(errors.LastAdmin,),
)
ENABLE = _action(
    "enable",
    AccountAdmin.enable,
    "It can sign in again. Sessions that have ended stay so.",
    summary="Enable an account",
)
SEND_RESET = _action(
    "send-reset",
    AccountAdmin.send_reset,
    "400 for an account that is disabled or has no confirmed address; 404 where no "
    "mail can be sent.",
    summary="Mail an account a link for a new password",
)
RESET_FACTORS = _action(
    "reset-factors",
    AccountAdmin.reset_factors,
    "Its recovery codes go too, and all of its sessions end. Its addresses get a "
    "notice.",
    summary="Remove the second factors of an account",
)
END_SESSIONS = _action(
    "end-sessions",
    AccountAdmin.end_sessions,
    "Those of browsers at this server are among them.",
    counts=True,
    summary="End all sessions of an account",
)
