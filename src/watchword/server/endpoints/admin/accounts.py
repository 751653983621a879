"""The calls of /api/admin/accounts: list, make, show, change and delete accounts."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.limits import (
    MAIL_ADDRESS_MAX,
    ROLE_MAX,
    ROLES_MAX,
    USER_NAME_MAX,
)
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
    shown,
)
from watchword.server.endpoints.admin.fields import (
    NEXT,
    PAGE,
    RequestBody,
    flag_in,
    page_query,
)
from watchword.server.parsing import parse_json, read_body
from watchword.server.responses import JSON, done

ONE: Final = "/accounts/{id}"

Name = Annotated[str, msgspec.Meta(max_length=USER_NAME_MAX)]
Email = Annotated[str, msgspec.Meta(max_length=MAIL_ADDRESS_MAX)]
Role = Annotated[str, msgspec.Meta(max_length=ROLE_MAX)]
Roles = Annotated[tuple[Role, ...], msgspec.Meta(max_length=ROLES_MAX)]
Locale = Annotated[
    str, msgspec.Meta(max_length=64, description="A language, as in `de` or `de-AT`.")
]


class AccountList(msgspec.Struct, frozen=True):
    """A page of accounts, in order of what they were found by."""

    items: list[AccountItem]
    next: str | None


class NewAccount(RequestBody, frozen=True, rename="camel"):
    """An account that is to be made.

    `emailConfirmed` says that the address is known to be its user's: otherwise a mail
    asks for that. Without `username` the account is known by its address, which has to
    be confirmed then. Without `password` the address is mailed a link to set one.
    """

    username: Name | None = None
    email: Email | None = None
    email_confirmed: bool = False
    password: str | None = None
    roles: Roles = ()
    locale: Locale | None = None


class ChangeAccount(RequestBody, frozen=True, rename="camel"):
    """What shall change; the rest stays.

    With `username` null the account is known by its address from now on. An `email`
    that is not `emailConfirmed` becomes the account's when its user confirms it by the
    mail that is sent there. `roles` replace those that it has.
    """

    username: Name | msgspec.UnsetType | None = msgspec.UNSET
    email: Email | msgspec.UnsetType = msgspec.UNSET
    email_confirmed: bool = False
    roles: Roles | msgspec.UnsetType = msgspec.UNSET
    locale: Locale | msgspec.UnsetType = msgspec.UNSET


_NEW: Final = msgspec.json.Decoder(NewAccount)
_CHANGE: Final = msgspec.json.Decoder(ChangeAccount)
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
_PROFILE_ERRORS: Final = (
    errors.NameTaken,
    errors.EmailInvalid,
    errors.EmailTaken,
)
_NO_ADMIN: Final = "A client can neither change an account of an admin nor make one."


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


async def create(request: Request) -> Response:
    operator = await writer(request)
    body = parse_json(request, await read_body(request), _NEW)
    account = await admin_of(request).accounts.create(
        operator,
        username=body.username,
        email=body.email,
        confirmed=body.email_confirmed,
        password=body.password,
        roles=body.roles,
        locale=body.locale,
    )
    return await shown(request, account.subject, status=201)


CREATE = changes(
    "POST",
    "/accounts",
    create,
    summary="Make an account",
    description=f"404 where a mail is needed and none can be sent. {_NO_ADMIN}",
    request=NewAccount,
    example={"email": "ann@example.org", "emailConfirmed": True, "roles": ["staff"]},
    response=AccountView,
    status=201,
    errors=(*_PROFILE_ERRORS, errors.PasswordRejected),
)


async def show(request: Request) -> Response:
    await reader(request)
    return await shown(request, request.path_params["id"])


SHOW = shows(
    ONE,
    show,
    summary="One account",
    response=AccountView,
    errors=(errors.NotFound,),
)


async def change(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    body = parse_json(request, await read_body(request), _CHANGE)
    given = msgspec.structs.asdict(body)
    await admin_of(request).accounts.update(
        operator,
        subject,
        version,
        username=None if body.username is msgspec.UNSET else body.username or "",
        confirmed=body.email_confirmed,
        **{
            name: None if given[name] is msgspec.UNSET else given[name]
            for name in ("email", "roles", "locale")
        },
    )
    return await shown(request, subject)


CHANGE = changes(
    "PATCH",
    ONE,
    change,
    summary="Change an account",
    description=(
        "All of it is one change. Sessions have other roles from their next refresh "
        "on. The last enabled account of the admin role keeps it. 404 where a mail is "
        f"needed and none can be sent. {_NO_ADMIN}"
    ),
    is_versioned=True,
    request=ChangeAccount,
    example={"roles": ["staff"]},
    response=AccountView,
    errors=(*_PROFILE_ERRORS, errors.LastAdmin),
)


async def delete(request: Request) -> Response:
    operator = await writer(request)
    subject, version = request.path_params["id"], version_of(request)
    await admin_of(request).accounts.delete(operator, subject, version)
    return done()


DELETE = changes(
    "DELETE",
    ONE,
    delete,
    summary="Delete an account",
    description=(
        "All of its sessions end. The last enabled account of the admin role stays. "
        f"{_NO_ADMIN}"
    ),
    is_versioned=True,
    status=204,
    errors=(errors.LastAdmin,),
)
