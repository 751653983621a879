"""What users prove themselves by, besides a password: one table for all kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypedDict, Unpack

import msgspec

from watchword.ports.audit import Trail


class CredentialKind(StrEnum):
    """What a row is."""

    TOTP = "totp"
    """A secret that an authenticator app has too. `step` is the last one accepted."""

    PASSKEY = "passkey"
    """A public key. `key` is its credential id, `step` the authenticator's counter."""

    RECOVERY_CODE = "recovery_code"
    """A code that works once. `key` is its SHA-256."""

    HANDLE = "handle"
    """The name by which authenticators know a user: `key`, 32 random bytes."""

    ENROLMENT = "enrolment"
    """A one-time token to enrol the first factor with. `key` is its SHA-256."""

    DEMAND = "demand"
    """An operator's word that this user needs a second factor."""

    EPOCH = "epoch"
    """`step` rises with each end of all sessions of an app's own user."""


FACTORS: frozenset[CredentialKind] = frozenset(
    {CredentialKind.TOTP, CredentialKind.PASSKEY}
)
"""The kinds that demand a second step at sign-in."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Instants in milliseconds.

    `id` has 16 bytes. Of HANDLE, DEMAND and EPOCH an account has one row at most: its
    id is made of kind and account (`factors/rows.py`). `account_id` is the subject, of
    an account or of an app's own user. No two rows of a kind have the same `key`, but
    for the empty one. `sealed` is opened with account and id as associated data. From
    `until` on the row is as if deleted; None: it stays.
    """

    id: bytes
    account_id: bytes
    kind: CredentialKind
    created_at: int
    key: bytes = b""
    label: str = ""
    sealed: bytes = b""
    used_at: int | None = None
    until: int | None = None
    step: int = 0
    version: int = 0


class Spending(msgspec.Struct, frozen=True):
    """A credential that goes with what it grants, and what is told of that."""

    credential: Credential
    trail: Trail


class AdditionTerms(TypedDict, total=False):
    """The terms of `CredentialStore.add`, which says what each of them does."""

    replaces: Collection[CredentialKind]
    spends: Credential | None
    at_most: int | None
    seen: Collection[bytes] | None


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """What `CredentialStore.add` is asked for, of one account.

    Each store decides by `settle`, in the transaction of its write.
    """

    added: Sequence[Credential]
    replaces: Collection[CredentialKind] = ()
    spends: Credential | None = None
    at_most: int | None = None
    seen: Collection[bytes] | None = None

    @property
    def account_id(self) -> bytes:
        """The account. Raises ValueError where there is nothing to add or to spend."""
        for one in (*self.added, self.spends):
            if one is not None:
                return one.account_id
        raise ValueError("nothing to add, and nothing to spend")

    def settle(self, rows: Iterable[Credential]) -> list[Credential] | None:
        """The rows to delete first, or None where nothing is to be written.

        `rows` are those of the account, and all that have an id or a key of `added`.
        """
        there = {row.id: row for row in rows}
        mine = [row for row in there.values() if row.account_id == self.account_id]
        factors = {row.id for row in mine if row.kind in FACTORS}
        if self.seen is not None and factors != set(self.seen):
            return None
        gone = [row for row in mine if row.kind in self.replaces]
        if self.spends is not None:
            spent = there.get(self.spends.id)
            if spent is None or spent.version != self.spends.version:
                return None
            gone.append(spent)
        for row in gone:
            there.pop(row.id, None)
        return gone if self._fits(there.values()) else None

    def _fits(self, stay: Collection[Credential]) -> bool:
        ids = {one.id for one in self.added}
        keys = {(one.kind, one.key) for one in self.added if one.key}
        if any(row.id in ids or (row.kind, row.key) in keys for row in stay):
            return False
        kinds = {one.kind for one in self.added}
        alike = sum(row.kind in kinds for row in stay)
        return self.at_most is None or len(self.added) + alike <= self.at_most


def dropped_by_reset(rows: Iterable[Credential]) -> list[Credential]:
    """Those of an account that `CredentialStore.drop` deletes."""
    kept = {CredentialKind.DEMAND, CredentialKind.EPOCH}
    return [row for row in rows if row.kind not in kept]


def dropped_after(instant: int, rows: Collection[Credential]) -> list[Credential]:
    """Those of an account that go with a change which undoes what a thief did.

    They are the factors, recovery codes and enrolments that were made at `instant` (ms)
    or later. Where no factor is left, all recovery codes go.
    """
    late = [row for row in dropped_by_reset(rows) if row.created_at >= instant]
    left = [row for row in rows if row.kind in FACTORS and row not in late]
    kinds = {*FACTORS, CredentialKind.ENROLMENT, CredentialKind.RECOVERY_CODE}
    return [
        row
        for row in rows
        if (row in late and row.kind in kinds)
        or (not left and row.kind is CredentialKind.RECOVERY_CODE)
    ]


class CredentialStore(Protocol):
    """Credentials by key and by account. `until` is judged by those that read a row."""

    async def add(
        self,
        credentials: Sequence[Credential],
        trail: Trail,
        **terms: Unpack[AdditionTerms],
    ) -> bool:
        """Write new rows of one account, all or none. Returns whether they are there.

        They MUST differ in id, and in kind and key. There may be none where a row is
        spent. First the row `spends` is deleted (by id and version), and all rows of
        the account of a kind in `replaces`.

        Nothing is written, and False is returned, where the row to spend is gone; where
        a row of the same id, or of the same kind and non-empty key, stays; where the
        account would have more than `at_most` rows of the kinds that are added; and
        where its factors (FACTORS) are not exactly those with the ids `seen`. Of
        callers that race for one of these, one succeeds.
        """

    async def by_key(self, kind: CredentialKind, key: bytes) -> Credential | None:
        """The row of that kind and non-empty key."""

    async def of_account(self, account_id: bytes) -> list[Credential]:
        """All rows of the account, in order of `created_at`, then of id."""

    async def swap(
        self, before: Credential, after: Credential | None, trail: Trail
    ) -> bool:
        """Write `after` where the row still has `before.version`; None deletes the row.

        Only `label`, `sealed`, `used_at`, `step` and `version` differ. Returns whether
        it was written. The trail is written only with it.
        """

    async def drop(self, account_id: bytes, trail: Trail) -> int:
        """Delete all factors, recovery codes, enrolments and the handle of the account.

        Demand and epoch stay. Returns how many factors there were.
        """

    async def sealed_under(self) -> Mapping[bytes, int]:
        """How many rows each server secret has sealed, by its name (8 bytes)."""

    async def sealed(self, *, after: bytes, limit: int) -> list[Credential]:
        """Rows with sealed contents, in order of id, following `after`."""

    async def reseal(self, sealed: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        """Replace sealed contents by id, where they are still the first of the two.

        It raises the version: a swap of a row that was read before misses, and does not
        bring the earlier contents back.
        """
