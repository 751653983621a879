"""One-time tokens of accounts, which travel by mail, as a store has them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

import msgspec

from watchword.core import limits
from watchword.ports.audit import Trail


class Purpose(StrEnum):
    """What a confirmation grants."""

    RESET = "reset"
    """A new password."""

    EMAIL = "email"
    """Another address."""

    REVERT = "revert"
    """The way back to an address that the account had."""

    INVITATION = "invitation"
    """A new account, or roles for the account of that address."""


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was mailed to `email`.

    `token_hash` is the SHA-256 of the token. An invitation has no account, and `roles`
    that it gives. `email_key` is the one spelling of `email`. `until` is an instant
    (ms).
    """

    token_hash: bytes
    account_id: bytes | None
    purpose: Purpose
    email: str
    email_key: str
    created_at: int
    until: int
    roles: tuple[str, ...] = ()


def dying_with(
    spent: Confirmation, others: Iterable[Confirmation]
) -> list[Confirmation]:
    """Those of the same account that die with the one that is spent.

    Of resets, and of changes of the address, one is used and all are gone. A way back
    takes all of them along, and every later way back: that one was made by the thief.
    An earlier way back is never taken away.
    """
    if spent.purpose is Purpose.INVITATION:
        return []
    if spent.purpose is not Purpose.REVERT:
        return [one for one in others if one.purpose is spent.purpose]
    return [
        one
        for one in others
        if one.purpose is not Purpose.REVERT or one.created_at > spent.created_at
    ]


def void_after_epoch(others: Iterable[Confirmation]) -> list[Confirmation]:
    """Those of an account that die with its epoch, as a new password raises it.

    A thief with the old password may have asked for them. A way back stays.
    """
    return [one for one in others if one.purpose in {Purpose.RESET, Purpose.EMAIL}]


def replaced_by(
    added: Confirmation, others: Iterable[Confirmation]
) -> list[Confirmation]:
    """Those of the same account that go, so that CONFIRMATIONS_LIVE of the kind stay.

    The oldest go. Neither a way back nor an invitation is replaced.
    """
    if added.purpose not in {Purpose.RESET, Purpose.EMAIL}:
        return []
    alike = [one for one in others if one.purpose is added.purpose and one != added]
    alike.sort(key=lambda one: (one.created_at, one.token_hash))
    return alike[: max(0, len(alike) + 1 - limits.CONFIRMATIONS_LIVE)]


class ConfirmationStore(Protocol):
    """Confirmations by token and by account. `AccountStore` spends them."""

    async def add(self, confirmation: Confirmation, trail: Trail) -> None:
        """Write it. Those that `replaced_by` names go."""

    async def by_token(self, token_hash: bytes) -> Confirmation | None:
        """The confirmation of that token."""

    async def of_account(self, account_id: bytes) -> list[Confirmation]:
        """All confirmations of the account, in order of `created_at`."""

    async def invitations(
        self, *, before: tuple[int, bytes] | None = None, limit: int
    ) -> list[Confirmation]:
        """Invitations, newest first, by `created_at` and then `token_hash`.

        Only those that come after `before` in that order.
        """

    async def withdraw(self, token_hash: bytes, trail: Trail) -> bool:
        """Delete an invitation; whether it was there. Without it no event is written.

        The message that waits with its token finds it gone, and is not sent.
        """
