"""Accounts, in a table of their own."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.ports.accounts import (
    Account,
    AccountPage,
    Hold,
    let_go,
    refuse_held,
    refuse_last,
    refuse_taken,
)
from watchword.ports.audit import Trail
from watchword.ports.confirmations import Confirmation
from watchword.ports.credentials import Credential
from watchword.stores.sql.confirmations import end_epoch, grant, spend
from watchword.stores.sql.credentials import lose_credentials
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import (
    Row,
    account_of,
    account_swap_row,
    as_row,
    can_be_stored,
)


class SqlAccounts:
    """Implements `AccountStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        account: Account,
        trail: Trail,
        *,
        spends: bytes | None = None,
        ignore_holds: bool = False,
    ) -> None:
        def plan() -> Plan[None]:
            if spends is not None:
                registered = yield "spend_registrations", [(spends,)]
                if spends not in {row[0] for row in registered}:
                    yield from spend(spends, account.id)
            yield from _look_taken(account)
            yield "add_account", [as_row(account)]
            yield from _take(account, ignore_holds=ignore_holds)
            yield from leave(trail)

        await self._database.write_plan(plan)

    async def by_name(self, name: str) -> Account | None:
        rows = await self._database.read("account_by_name", name)
        return account_of(rows[0]) if rows else None

    async def by_id(self, account_id: bytes) -> Account | None:
        rows = await self._database.read("account_by_id", account_id)
        return account_of(rows[0]) if rows else None

    async def by_email(self, email_key: str) -> Account | None:
        rows = await self._database.read("account_by_email", email_key)
        return account_of(rows[0]) if rows else None

    async def list(self, *, after: str = "", limit: int) -> list[Account]:
        rows = await self._database.query("list_accounts", after, limit)
        return [account_of(row) for row in rows]

    async def search(
        self,
        prefix: str,
        *,
        after: str = "",
        limit: int,
        look: int,
        role: str | None = None,
        disabled: bool | None = None,
    ) -> AccountPage:
        if not can_be_stored(prefix, role or ""):
            return AccountPage([])
        # No key has a character of either kind.
        first, last = (
            max(prefix, after + "\x01" if after else ""),
            prefix + "\U0010ffff",
        )
        walk, is_exact = "name", role is None and disabled is None
        if role is not None and not prefix:
            walk, is_exact = "role", disabled is None
        elif disabled and not prefix:
            walk, is_exact = "disabled", True
        size = limit + 1  # one more says whether there is one
        if not is_exact:
            size = max(size, look // 2 if prefix else look)
        rows = await self._database.query(
            "search_accounts",
            *(first, prefix, last, size, role or "", disabled, limit + 1, walk),
        )
        end = rows[0][0]
        found = [(row[1], account_of(row[2:])) for row in rows if row[1] is not None]
        if len(found) > limit:
            found, end = found[:limit], found[limit - 1][0]
        return AccountPage([account for _, account in found], end)

    async def swap(
        self,
        before: Account,
        after: Account | None,
        trail: Trail,
        *,
        spends: bytes | None = None,
        grants: Sequence[Confirmation] = (),
        ignore_holds: bool = False,
        keeps_role: str | None = None,
        spends_code: Credential | None = None,
        drops_factors_after: int | None = None,
    ) -> bool:
        takes = after if after is not None and after.keys != before.keys else None

        def plan() -> Plan[bool]:
            # After a wait, credentials that were added meanwhile have to be seen.
            yield "read_committed", [()]
            if takes is not None:
                yield from _look_taken(takes, its_own=True)
            # Before the row is written: two callers would wait for each other's row.
            enabled: Sequence[Row] = ()
            if keeps_role is not None:
                enabled = yield "lock_enabled_of_role", [(keeps_role,)]
            # First of all writes: nothing is to be undone where it misses.
            if not (yield _swap(before, after)):
                return False
            if keeps_role is not None:
                refuse_last(before.id, [row[0] for row in enabled])
            if spends is not None:
                yield from spend(spends, before.id)
            yield from lose_credentials(
                before.id, after, spends_code, drops_factors_after
            )
            yield from end_epoch(before, after)
            if takes is not None:
                yield from _take(takes, ignore_holds=ignore_holds)
            if after is None:
                yield "drop_confirmations_of_account", [(before.id,)]
                yield "drop_messages_of_account", [(before.id,)]
            holds = let_go(before, after, trail)
            yield "hold", [(one.key, one.account_id, one.until) for one in holds]
            for granted in grants:
                yield from grant(granted)
            yield from leave(trail)
            return True

        return await self._database.write_plan(plan)


def _swap(
    before: Account, after: Account | None
) -> tuple[str, Sequence[tuple[object, ...]]]:
    if after is None:
        return "delete_account", [(before.id, before.version)]
    return "swap_account", [account_swap_row(before, after)]


def _look_taken(account: Account, *, its_own: bool = False) -> Plan[None]:
    """Raises NameTaken, EmailTaken. With `its_own`, its row is there already."""
    rows = yield "accounts_like", [(account.id, account.name, account.email_key)]
    others = map(account_of, rows)
    refuse_taken(
        account, [one for one in others if not its_own or one.id != account.id]
    )


def _take(account: Account, *, ignore_holds: bool) -> Plan[None]:
    """Raises NameTaken, EmailTaken for a key that is held; no longer holds the others.

    Only after the account was written: that write waits for another transaction which
    lets the same key go. The hold of that one is visible then.
    """
    rows = yield "holds", [(account.name, account.email_key)]
    holds = [Hold(row[0], row[1], row[2], row[3] == 1) for row in rows]
    refuse_held(account, holds, ignore_holds=ignore_holds)
    yield "end_hold", [(key,) for key in sorted(account.keys)]
