"""Accounts, and what waits to become one or to change one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from watchword.errors import ConfirmationInvalid
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
from watchword.ports.confirmations import (
    Confirmation,
    Purpose,
    dying_with,
    replaced_by,
    void_after_epoch,
)
from watchword.ports.credentials import Credential, dropped_after
from watchword.ports.registrations import Neighbour, Registration, crowded_out
from watchword.stores.memory.rows import Memory


class MemoryAccounts:
    """Implements `AccountStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(
        self,
        account: Account,
        trail: Trail,
        *,
        spends: bytes | None = None,
        ignore_holds: bool = False,
    ) -> None:
        memory = self._memory
        registered = memory.registration_of(spends)
        spent = [] if registered else self._spent(spends, account.id)
        refuse_taken(account, list(memory.accounts.values()))
        refuse_held(account, self._holds(), ignore_holds=ignore_holds)
        if registered is not None:
            memory.registrations = {
                row.id_hash: row
                for row in memory.registrations.values()
                if row.email_key != registered.email_key
            }
        self._forget(spent)
        self._write(account)
        memory.leave(trail)

    async def by_name(self, name: str) -> Account | None:
        named = (row for row in self._memory.accounts.values() if row.name == name)
        return next(named, None)

    async def by_id(self, account_id: bytes) -> Account | None:
        return self._memory.accounts.get(account_id)

    async def by_email(self, email_key: str) -> Account | None:
        rows = self._memory.accounts.values()
        return next((row for row in rows if row.email_key == email_key), None)

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
        memory = self._memory
        if after is not None and after.keys != before.keys:
            others = [row for row in memory.accounts.values() if row.id != before.id]
            refuse_taken(after, others)
        row = memory.accounts.get(before.id)
        if row is None or row.version != before.version:
            return False
        if keeps_role is not None:
            refuse_last(before.id, self._enabled_of(keeps_role))
        spent = self._spent(spends, before.id)
        if after is not None and after.keys != before.keys:
            refuse_held(after, self._holds(), ignore_holds=ignore_holds)
        memory.spend(spends_code)
        if drops_factors_after is not None:
            rows = memory.credentials_of(before.id)
            memory.drop_credentials(dropped_after(drops_factors_after, rows))
        self._forget(spent)
        if after is not None and after.epoch != before.epoch:
            self._forget(void_after_epoch(memory.of_account(before.id)))
        if after is None:
            self._delete(before.id)
        else:
            self._write(after)
        for hold in let_go(before, after, trail):
            memory.held[hold.key] = hold
        for granted in grants:
            grant(memory, granted)
        memory.leave(trail)
        return True

    def _enabled_of(self, role: str) -> list[bytes]:
        rows = self._memory.accounts.values()
        return [row.id for row in rows if role in row.roles and not row.disabled]

    def _spent(self, spends: bytes | None, account_id: bytes) -> list[Confirmation]:
        """What is spent and what dies with it. Raises ConfirmationInvalid."""
        if spends is None:
            return []
        spent = self._memory.confirmations.get(spends)
        if spent is None or spent.account_id not in {None, account_id}:
            raise ConfirmationInvalid
        return [spent, *dying_with(spent, self._memory.of_account(account_id))]

    def _forget(self, rows: Iterable[Confirmation]) -> None:
        for row in rows:
            self._memory.confirmations.pop(row.token_hash, None)

    def _holds(self) -> list[Hold]:
        ways_back = [
            Hold(row.email_key, row.account_id, row.until, is_way_back=True)
            for row in self._memory.confirmations.values()
            if row.purpose is Purpose.REVERT and row.account_id is not None
        ]
        return [*self._memory.held.values(), *ways_back]

    def _write(self, account: Account) -> None:
        self._memory.accounts[account.id] = account
        for key in account.keys:
            self._memory.held.pop(key, None)

    def _delete(self, account_id: bytes) -> None:
        memory = self._memory
        del memory.accounts[account_id]
        self._forget(memory.of_account(account_id))
        memory.drop_credentials(memory.credentials_of(account_id))
        memory.consents = {
            key: row for key, row in memory.consents.items() if key[0] != account_id
        }
        memory.outbox = {
            one.id: one
            for one in memory.outbox.values()
            if one.account_id != account_id
        }

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
        found: dict[str, Account] = {}
        for row in self._memory.accounts.values():
            if row.name.startswith(prefix):
                found[row.name] = row
            elif row.email_key is not None and row.email_key.startswith(prefix):
                found[row.email_key] = row
        stretch = [(key, row) for key, row in sorted(found.items()) if key > after]
        onward = stretch[look - 1][0] if len(stretch) >= look else None
        meant = [
            (key, row)
            for key, row in stretch[:look]
            if role in {None, *row.roles} and disabled in {None, row.disabled}
        ]
        if len(meant) > limit:
            onward = meant[limit - 1][0]
        return AccountPage([row for _, row in meant[:limit]], onward)

    async def list(self, *, after: str = "", limit: int) -> list[Account]:
        rows = sorted(self._memory.accounts.values(), key=lambda row: row.name)
        return [row for row in rows if row.name > after][:limit]


def grant(memory: Memory, granted: Confirmation) -> None:
    """Write a confirmation, in place of those that it replaces."""
    for row in replaced_by(granted, memory.of_account(granted.account_id)):
        del memory.confirmations[row.token_hash]
    memory.confirmations[granted.token_hash] = granted


class MemoryConfirmations:
    """Implements `ConfirmationStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, confirmation: Confirmation, trail: Trail) -> None:
        grant(self._memory, confirmation)
        self._memory.leave(trail)

    async def by_token(self, token_hash: bytes) -> Confirmation | None:
        return self._memory.confirmations.get(token_hash)

    async def of_account(self, account_id: bytes) -> list[Confirmation]:
        return self._memory.of_account(account_id)

    async def invitations(
        self, *, before: tuple[int, bytes] | None = None, limit: int
    ) -> list[Confirmation]:
        rows = [
            row
            for row in self._memory.confirmations.values()
            if row.purpose is Purpose.INVITATION
            and (before is None or (row.created_at, row.token_hash) < before)
        ]
        rows.sort(key=lambda row: (row.created_at, row.token_hash), reverse=True)
        return rows[:limit]

    async def withdraw(self, token_hash: bytes, trail: Trail) -> bool:
        row = self._memory.confirmations.get(token_hash)
        if row is None or row.purpose is not Purpose.INVITATION:
            return False
        del self._memory.confirmations[token_hash]
        self._memory.leave(trail)
        return True


class MemoryRegistrations:
    """Implements `RegistrationStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, registration: Registration, trail: Trail) -> None:
        rows = self._memory.registrations
        alike = [
            row for row in rows.values() if row.email_key == registration.email_key
        ]
        of_network = Counter(row.network for row in rows.values())
        own = [row.id_hash for row in alike if row.network == registration.network]
        neighbours = [
            Neighbour(row.id_hash, row.created_at, row.network, of_network[row.network])
            for row in alike
            if row.network != registration.network
        ]
        for id_hash in (*own, *crowded_out(neighbours)):
            del rows[id_hash]
        rows[registration.id_hash] = registration
        self._memory.leave(trail)

    async def by_id(self, id_hash: bytes) -> Registration | None:
        return self._memory.registrations.get(id_hash)

    async def by_token(self, token_hash: bytes) -> Registration | None:
        return self._memory.registration_of(token_hash)

    async def renew(self, id_hash: bytes, token_hash: bytes) -> bool:
        row = self._memory.registrations.get(id_hash)
        if row is None:
            return False
        renewed = msgspec.structs.replace(row, token_hash=token_hash)
        self._memory.registrations[id_hash] = renewed
        return True
