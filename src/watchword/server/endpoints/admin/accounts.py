"""The calls of /api/admin/accounts: list, show, disable and enable accounts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.limits import ROLE_MAX, USER_NAME_MAX
from watchword.server.admin_auth import (
    admin_of,
    changes,
    reader,
    shows,
    version_of,
    writer,
)
from watchword.server.endpoints.admin.account_fields import (
    AccountItem,
    AccountView,
    item,
    view,
)
from watchword.server.endpoints.admin.fields import (
    NEXT,
    PAGE,
    flag_in,
    page_query,
    versioned,
)
from watchword.server.responses import JSON

_ONE = "/accounts/{id}"


class AccountList(msgspec.Struct, frozen=True):
    """A page of accounts, in order of what they were found by."""

    items: list[AccountItem]
    next: str | None


class ChangedAccount(AccountView, frozen=True, rename="camel", kw_only=True):
    """The account as it is now, and how many of its sessions were alive until now."""

    revoked: int


_Q = Annotated[
    str,
    msgspec.Meta(
        title="q",
        description="What the user name or the address begins with.",
        max_length=USER_NAME_MAX,
    ),
]
_ROLE = Annotated[
    str,
    msgspec.Meta(
        title="role", description="Accounts with that role alone.", max_length=ROLE_MAX
    ),
]
_DISABLED = Annotated[
    bool, msgspec.Meta(title="disabled", description="Disabled ones alone, or others.")
]


async def list_accounts(request: Request) -> Response:
    await reader(request)
    query = page_query(request)
    page = await admin_of(request).accounts.list(
        q=query.fields.get("q", ""),
        role=query.fields.get("role"),
        disabled=flag_in(query.fields, "disabled"),
        after=query.after,
        limit=query.limit,
    )
    return JSON(AccountList(list(map(item, page.items)), page.next))


LIST = shows(
    "/accounts",
    list_accounts,
    summary="Accounts",
    description=f"Each is found by its name or by its address. {NEXT}",
    query={"q": _Q, "role": _ROLE, "disabled": _DISABLED, **PAGE},
    response=AccountList,
)


async def show(request: Request) -> Response:
    await reader(request)
    detail = await admin_of(request).accounts.get(request.path_params["id"])
    return versioned(view(detail), detail.account.version)


SHOW = shows(
    _ONE,
    show,
    summary="One account",
    description="The `ETag` is its version, for the `If-Match` of changes.",
    response=AccountView,
    errors=(errors.NotFound,),
)


async def disable(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    count = await admin_of(request).accounts.disable(operator, subject, version)
    return await _changed(request, count)


DISABLE = changes(
    "POST",
    f"{_ONE}/disable",
    disable,
    summary="Disable an account",
    description=(
        "It is refused from now on, and all of its sessions end. The last enabled "
        "account of the admin role stays. A client can disable no account of that role."
    ),
    is_versioned=True,
    response=ChangedAccount,
    errors=(errors.LastAdmin,),
)


async def enable(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    await admin_of(request).accounts.enable(operator, subject, version)
    return await _changed(request, 0)


ENABLE = changes(
    "POST",
    f"{_ONE}/enable",
    enable,
    summary="Enable an account",
    description="It can sign in again. Sessions that have ended stay so.",
    is_versioned=True,
    response=ChangedAccount,
)


async def _changed(request: Request, revoked: int) -> Response:
    """The account as it is now: another caller may have changed it since."""
    detail = await admin_of(request).accounts.get(request.path_params["id"])
    content = ChangedAccount(
        **msgspec.structs.asdict(view(detail)),
        revoked=revoked,
    )
    return versioned(content, detail.account.version)
