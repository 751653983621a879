"""Accounts as the admin API shows them. No answer has a hash or a secret."""

from __future__ import annotations

from datetime import datetime

import msgspec

from watchword.admin.accounts import AccountDetail
from watchword.factors.proof import Method
from watchword.passwords import is_unusable
from watchword.ports.accounts import Account
from watchword.server.responses import utc


class AccountItem(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An account. `id` is the `sub` of its tokens. Times are UTC.

    `username` is null where it is known by its address alone. An `email` without
    `emailConfirmedAt` may still become another account's.
    """

    id: str
    version: int
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


def view(detail: AccountDetail) -> AccountView:
    """The account as it is shown by itself."""
    enrolled = detail.factors
    return AccountView(
        **msgspec.structs.asdict(item(detail.account)),
        second_factor=SecondFactor(
            enrolled.methods,
            len(enrolled.factors),
            enrolled.codes_left,
            enrolled.is_demanded,
        ),
    )
