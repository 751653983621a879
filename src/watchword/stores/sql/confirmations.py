"""One-time tokens of accounts, in a table of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from watchword.errors import ConfirmationInvalid
from watchword.ports.accounts import Account
from watchword.ports.audit import Trail
from watchword.ports.confirmations import (
    Confirmation,
    dying_with,
    replaced_by,
    void_after_epoch,
)
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import as_row, confirmation_of

_NEWEST: Final = (2**62, b"")


class SqlConfirmations:
    """Implements `ConfirmationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, confirmation: Confirmation, trail: Trail) -> None:
        def plan() -> Plan[None]:
            # The account's row is locked: two that are added at once see each other.
            yield "lock_account", [(confirmation.account_id,)]
            yield from grant(confirmation)
            yield from leave(trail)

        await self._database.write_plan(plan)

    async def by_token(self, token_hash: bytes) -> Confirmation | None:
        rows = await self._database.read("confirmation_by_token", token_hash)
        return confirmation_of(rows[0]) if rows else None

    async def of_account(self, account_id: bytes) -> list[Confirmation]:
        rows = await self._database.read("confirmations_of_account", account_id)
        return [confirmation_of(row) for row in rows]

    async def invitations(
        self, *, before: tuple[int, bytes] | None = None, limit: int
    ) -> list[Confirmation]:
        query = self._database.query
        rows = await query("invitations", *(before or _NEWEST), limit)
        return [confirmation_of(row) for row in rows]

    async def withdraw(self, token_hash: bytes, trail: Trail) -> bool:
        def plan() -> Plan[bool]:
            if not (yield "withdraw_invitation", [(token_hash,)]):
                return False
            yield from leave(trail)
            return True

        return await self._database.write_plan(plan)


def grant(confirmation: Confirmation) -> Plan[None]:
    """Write a confirmation, in place of those that it replaces."""
    rows = yield "confirmations_of_account", [(confirmation.account_id,)]
    yield from _drop(replaced_by(confirmation, map(confirmation_of, rows)))
    yield "add_confirmation", [as_row(confirmation)]


def spend(token_hash: bytes, account_id: bytes) -> Plan[None]:
    """Delete a confirmation and all that die with it. Raises ConfirmationInvalid."""
    rows = yield "spend_confirmation", [(token_hash, account_id)]
    if not rows:
        raise ConfirmationInvalid
    spent = confirmation_of(rows[0])
    rows = yield "confirmations_of_account", [(account_id,)]
    yield from _drop(dying_with(spent, map(confirmation_of, rows)))


def end_epoch(before: Account, after: Account | None) -> Plan[None]:
    """Delete what dies with the epoch of the account, if it has another one now."""
    if after is None or after.epoch == before.epoch:
        return
    rows = yield "confirmations_of_account", [(before.id,)]
    yield from _drop(void_after_epoch(map(confirmation_of, rows)))


def _drop(confirmations: Iterable[Confirmation]) -> Plan[None]:
    yield "drop_confirmation", [(one.token_hash,) for one in confirmations]
