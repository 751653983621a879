"""What users prove themselves by, besides a password, in a table of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Unpack

from watchword.core.limits import SECRET_NAME_BYTES
from watchword.errors import SecondFactorInvalid
from watchword.ports.accounts import Account
from watchword.ports.audit import Trail
from watchword.ports.credentials import (
    FACTORS,
    Addition,
    AdditionTerms,
    Credential,
    CredentialKind,
    Spending,
    dropped_after,
    dropped_by_reset,
)
from watchword.stores.sql.database import Database, Plan
from watchword.stores.sql.outbox import leave
from watchword.stores.sql.rows import as_row, credential_of, credential_swap_row


class SqlCredentials:
    """Implements `CredentialStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        credentials: Sequence[Credential],
        trail: Trail,
        **terms: Unpack[AdditionTerms],
    ) -> bool:
        asked = Addition(added=credentials, **terms)
        alike = [(one.id, one.kind, one.key) for one in credentials]

        def plan() -> Plan[bool]:
            rows = yield from _locked(asked.account_id)
            found = yield "credentials_like", alike
            gone = asked.settle([*rows, *map(credential_of, found)])
            if gone is None:
                return False
            # First of all writes: nothing is to be undone where it misses.
            if asked.spends is not None and not (yield from _spent(asked.spends)):
                return False
            yield from _drop(gone)
            yield "add_credential", [as_row(one) for one in credentials]
            yield from leave(trail)
            return True

        return await self._database.write_plan(plan)

    async def by_key(self, kind: CredentialKind, key: bytes) -> Credential | None:
        rows = await self._database.read("credential_by_key", kind, key)
        return credential_of(rows[0]) if rows else None

    async def of_account(self, account_id: bytes) -> list[Credential]:
        rows = await self._database.read("credentials_of_account", account_id)
        return [credential_of(row) for row in rows]

    async def swap(
        self, before: Credential, after: Credential | None, trail: Trail
    ) -> bool:
        def plan() -> Plan[bool]:
            if after is None:
                # An addition may have been refused, had this row not been there.
                yield from _lock(before.account_id)
                return (yield from spend(Spending(before, trail)))
            row = credential_swap_row(before, after)
            written = bool((yield "swap_credential", [row]))
            if written:
                yield from leave(trail)
            return written

        return await self._database.write_plan(plan)

    async def drop(self, account_id: bytes, trail: Trail) -> int:
        def plan() -> Plan[int]:
            gone = dropped_by_reset((yield from _locked(account_id)))
            yield from _drop(gone)
            yield from leave(trail)
            return sum(row.kind in FACTORS for row in gone)

        return await self._database.write_plan(plan)

    async def sealed_under(self) -> Mapping[bytes, int]:
        query = self._database.query
        return dict(await query("secrets_of_credentials", SECRET_NAME_BYTES))

    async def sealed(self, *, after: bytes, limit: int) -> list[Credential]:
        rows = await self._database.query("sealed_credentials", after, limit)
        return [credential_of(row) for row in rows]

    async def reseal(self, sealed: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        rows = [(new, one, old) for one, (old, new) in sorted(sealed.items())]
        await self._database.write_many("reseal_credential", rows)


def spend(spending: Spending) -> Plan[bool]:
    """Delete a credential, and tell of it. Returns whether it was there."""
    spent = yield from _spent(spending.credential)
    if spent:
        yield from leave(spending.trail)
    return spent


def lose_credentials(
    account_id: bytes,
    after: Account | None,
    spends: Credential | None,
    younger_than: int | None,
) -> Plan[None]:
    """Delete what a swap of the account takes along. Raises SecondFactorInvalid."""
    if after is not None and spends is None and younger_than is None:
        return
    # Before any row: an addition locks in this order too.
    yield "lock_credentials_of_account", [(account_id,)]
    if spends is not None and not (yield from _spent(spends)):
        raise SecondFactorInvalid
    if after is None:
        yield "drop_credentials_of_account", [(account_id,)]
    elif younger_than is not None:
        rows = yield "credentials_of_account", [(account_id,)]
        gone = dropped_after(younger_than, [credential_of(row) for row in rows])
        yield from _drop(gone)


def _lock(account_id: bytes) -> Plan[None]:
    """Begin a transaction. It sees what others added while it waited for the lock."""
    yield "read_committed", [()]
    yield "lock_credentials_of_account", [(account_id,)]


def _locked(account_id: bytes) -> Plan[list[Credential]]:
    """The account's rows. No other transaction adds any before this one is over."""
    yield from _lock(account_id)
    rows = yield "credentials_of_account", [(account_id,)]
    return [credential_of(row) for row in rows]


def _spent(credential: Credential) -> Plan[bool]:
    """Delete it by id and version. Returns whether it was there."""
    gone = yield "delete_credential", [(credential.id, credential.version)]
    return bool(gone)


def _drop(rows: Iterable[Credential]) -> Plan[None]:
    # In order of id: two transactions that wait for each other's rows deadlock.
    yield "drop_credential", sorted((row.id,) for row in rows)
