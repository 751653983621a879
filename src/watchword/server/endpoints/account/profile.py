"""GET, PATCH and DELETE /account: the account of the access token."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword import errors
from watchword.core.session import as_text
from watchword.ports.accounts import Account
from watchword.server.endpoints.account.fields import (
    LocaleField,
    NameField,
)
from watchword.server.operation import BASE, Operation
from watchword.server.parsing import (
    BODY_ERRORS,
    by_user,
    engine_of,
    parse_json,
    read_body,
    self_service_of,
)
from watchword.server.responses import JSON, done
from watchword.server.token_auth import (
    NEEDS_RECENT,
    OWNER_ERRORS,
    RECENT_ERRORS,
    authenticate_owner,
    authenticate_strong,
    recent,
)

_PATH = f"{BASE}/account"


class Profile(msgspec.Struct, frozen=True, rename="camel"):
    """The account. `username` is null where it is known by its address alone."""

    id: str
    username: str | None
    email: str | None
    email_confirmed: bool
    locale: str
    created_at: datetime


class ChangeProfile(msgspec.Struct, frozen=True):
    """What shall change; the rest stays.

    With `username` null the account is known by its address from now on.
    """

    locale: LocaleField | msgspec.UnsetType = msgspec.UNSET
    username: NameField | msgspec.UnsetType | None = msgspec.UNSET


_CHANGE = msgspec.json.Decoder(ChangeProfile)


async def show(request: Request) -> Response:
    self_service_of(request)
    account_id, _ = await authenticate_owner(request)
    return _shown(await engine_of(request).accounts.get_by_subject(as_text(account_id)))


SHOW = Operation(
    method="GET",
    path=_PATH,
    handler=show,
    needs_accounts=True,
    tag="account",
    summary="My account",
    response=Profile,
    bearer=True,
    errors=OWNER_ERRORS,
)


async def change(request: Request) -> Response:
    self_service_of(request)
    account_id, *_ = await authenticate_strong(request)
    body = parse_json(request, await read_body(request), _CHANGE)
    account = await engine_of(request).accounts.update_profile(
        account_id,
        locale=None if body.locale is msgspec.UNSET else body.locale,
        username=None if body.username is msgspec.UNSET else body.username or "",
        by=by_user(request),
    )
    return _shown(account)


CHANGE = Operation(
    method="PATCH",
    path=_PATH,
    handler=change,
    needs_accounts=True,
    tag="account",
    summary="Change my account",
    description=(
        "Where the account has a second factor, the session must have proved one: see "
        "/step-up."
    ),
    request=ChangeProfile,
    example={"locale": "de"},
    response=Profile,
    bearer=True,
    needs_bearer=True,
    errors=(*RECENT_ERRORS, *BODY_ERRORS, errors.NameInvalid, errors.NameTaken),
)


async def delete(request: Request) -> Response:
    self_service_of(request)
    account_id, *_ = await recent(request)
    await engine_of(request).accounts.delete(account_id, by=by_user(request))
    return done()


DELETE = Operation(
    method="DELETE",
    path=_PATH,
    handler=delete,
    needs_accounts=True,
    tag="account",
    summary="Delete my account",
    description=(
        "Ends all of its sessions at once. The last account with the admin role stays. "
        f"{NEEDS_RECENT}"
    ),
    status=204,
    bearer=True,
    errors=(
        *RECENT_ERRORS,
        errors.LastAdmin,
    ),
)


def _shown(account: Account) -> Response:
    return JSON(
        Profile(
            id=account.subject,
            username=None if account.name == account.email_key else account.name,
            email=account.email,
            email_confirmed=account.email_confirmed_at is not None,
            locale=account.locale,
            created_at=datetime.fromtimestamp(account.created_at // 1000, UTC),
        )
    )
