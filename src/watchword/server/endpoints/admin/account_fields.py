"""Accounts as the admin API shows them. No answer has a hash or a secret."""

from __future__ import annotations

from datetime import datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from watchword.factors.proof import Method
from watchword.passwords import is_unusable
from watchword.ports.accounts import Account
from watchword.server.admin_auth import admin_of
from watchword.server.responses import Versioned, utc, versioned


class AccountItem(Versioned, frozen=True, rename="camel", kw_only=True):
    """An account. `id` is the `sub` of its tokens. Times are UTC.

    `username` is null where it is known by its address alone. An `email` without
    `emailConfirmedAt` may still become another account's.
    """

    id: str
    username: str | None
    email: str | None
    email_confirmed_at: datetime | None
    roles: tuple[str, ...]
    locale: str
    disabled: bool
    has_password: bool
    created_at: datetime


class SecondFactor(msgspec.Struct, frozen=True, rename="camel"):
    """What an account has of second factors; `required`: it needs one to sign in.

    `methods` are those that it can prove one by, the best first.
    """

    methods: tuple[Method, ...]
    factors: int
    recovery_codes_left: int
    required: bool


class AccountView(AccountItem, frozen=True, rename="camel", kw_only=True):
    """An account, with what it has of second factors."""

    second_factor: SecondFactor


class ChangedAccount(AccountView, frozen=True, rename="camel", kw_only=True):
    """The account as it is now, and how many of its sessions were alive until now."""

    revoked: int


def item(account: Account) -> AccountItem:
    """The account as lists have it."""
    confirmed = account.email_confirmed_at
    return AccountItem(
        id=account.subject,
        version=account.version,
        username=None if account.name == account.email_key else account.name,
        email=account.email,
        email_confirmed_at=None if confirmed is None else utc(confirmed),
        roles=account.roles,
        locale=account.locale,
        disabled=account.disabled,
        has_password=not is_unusable(account.password_hash),
        created_at=utc(account.created_at),
    )


async def shown(
    request: Request, subject: str, *, status: int = 200, revoked: int | None = None
) -> Response:
    """The answer with the account as it is now. Raises NotFound, StoreUnavailable.

    Another caller may have changed it since this one did. `revoked` is how many
    sessions have ended.
    """
    detail = await admin_of(request).accounts.get(subject)
    enrolled = detail.factors
    fields = msgspec.structs.asdict(item(detail.account))
    fields["second_factor"] = SecondFactor(
        enrolled.methods,
        len(enrolled.factors),
        enrolled.codes_left,
        enrolled.is_demanded,
    )
    content = (
        AccountView(**fields)
        if revoked is None
        else ChangedAccount(**fields, revoked=revoked)
    )
    return versioned(content, status)
