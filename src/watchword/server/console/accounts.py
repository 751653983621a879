"""Accounts: the list, and one of them with all that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from watchword.ports.accounts import Account
from watchword.ports.consents import Consent
from watchword.ports.credentials import Credential, CredentialKind
from watchword.server.console.events import Line
from watchword.server.console.screens import LANGUAGES, Screen
from watchword.server.console.sessions import SessionLine

STATES: Final = {"": "All", "active": "Active", "disabled": "Disabled"}
"""What the list can be narrowed down to, and its words."""


_KINDS: Final = {CredentialKind.PASSKEY: "Passkey", CredentialKind.TOTP: "App"}


def kinds_of(factors: Iterable[Credential]) -> tuple[str, ...]:
    """The kinds of these second factors in words, each once."""
    return tuple(dict.fromkeys(_KINDS[one.kind] for one in factors))


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account in the list. `signed_in` is the newest sign-in that lasts (ms).

    `factors` are the kinds that it has, in words.
    """

    account: Account
    factors: tuple[str, ...] = ()
    signed_in: int | None = None


class Accounts(Screen, frozen=True, kw_only=True):
    """The list. `q`, `role` and `state` are its filters, `next` is where it goes on."""

    template = "accounts.html"
    here = "accounts"

    title: str = "Accounts"
    rows: tuple[AccountRow, ...]
    next: str | None
    q: str = ""
    role: str = ""
    state: str = ""
    is_later: bool = False

    @property
    def states(self) -> list[tuple[str, str]]:
        """What the filter `state` offers: values and words."""
        return list(STATES.items())

    @property
    def query(self) -> dict[str, str]:
        """The filters, as the address of the list has them."""
        return {"q": self.q, "role": self.role, "state": self.state}


class ConsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An app that the account has allowed something. `name` is what users know."""

    name: str
    consent: Consent


class AccountScreen(Screen, frozen=True, kw_only=True):
    """One account.

    `factors` are its second factors, `codes_left` its recovery codes. `has_more` says
    that it has more sessions than these. `values` are the texts of the form that
    changes it, by name: those that were typed, where that was not accepted (`is_open`).
    """

    template = "account.html"
    here = "accounts"

    account: Account
    has_password: bool
    sessions: tuple[SessionLine, ...]
    factors: tuple[Credential, ...]
    codes_left: int
    consents: tuple[ConsentRow, ...]
    events: tuple[Line, ...]
    can_reset: bool
    is_self: bool
    values: Mapping[str, str]
    has_more: bool = False
    is_open: bool = False

    @property
    def locales(self) -> list[tuple[str, str]]:
        """The languages of its mails and pages."""
        return LANGUAGES


def username_of(account: Account) -> str:
    """The name that it signs in by; "" where it is known by its address alone."""
    return "" if account.name == account.email_key else account.name


def values_of(account: Account) -> dict[str, str]:
    """What the form that changes it has in its fields."""
    return {
        "username": username_of(account),
        "email": account.email or "",
        "roles": " ".join(account.roles),
        "locale": account.locale,
    }
