"""What users prove themselves by, besides a password."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Unpack

import msgspec

from watchword.core.limits import SECRET_NAME_BYTES
from watchword.ports.audit import Trail
from watchword.ports.credentials import (
    FACTORS,
    Addition,
    AdditionTerms,
    Credential,
    CredentialKind,
    dropped_by_reset,
)
from watchword.stores.memory.rows import Memory


class MemoryCredentials:
    """Implements `CredentialStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(
        self,
        credentials: Sequence[Credential],
        trail: Trail,
        **terms: Unpack[AdditionTerms],
    ) -> bool:
        asked = Addition(added=credentials, **terms)
        memory = self._memory
        ids = {one.id for one in credentials}
        keys = {(one.kind, one.key) for one in credentials if one.key}
        alike = [
            row
            for row in memory.credentials.values()
            if row.id in ids or (row.kind, row.key) in keys
        ]
        gone = asked.settle([*memory.credentials_of(asked.account_id), *alike])
        if gone is None:
            return False
        memory.drop_credentials(gone)
        memory.credentials.update((one.id, one) for one in credentials)
        memory.leave(trail)
        return True

    async def by_key(self, kind: CredentialKind, key: bytes) -> Credential | None:
        rows = self._memory.credentials.values()
        alike = (row for row in rows if row.kind is kind and row.key == key != b"")
        return next(alike, None)

    async def of_account(self, account_id: bytes) -> list[Credential]:
        return self._memory.credentials_of(account_id)

    async def swap(
        self, before: Credential, after: Credential | None, trail: Trail
    ) -> bool:
        memory = self._memory
        if not memory.has_still(before):
            return False
        if after is None:
            memory.drop_credentials([before])
        else:
            memory.credentials[before.id] = after
        memory.leave(trail)
        return True

    async def drop(self, account_id: bytes, trail: Trail) -> int:
        gone = dropped_by_reset(self._memory.credentials_of(account_id))
        self._memory.drop_credentials(gone)
        self._memory.leave(trail)
        return sum(row.kind in FACTORS for row in gone)

    async def sealed_under(self) -> Mapping[bytes, int]:
        return Counter(one.sealed[:SECRET_NAME_BYTES] for one in self._sealed())

    async def sealed(self, *, after: bytes, limit: int) -> list[Credential]:
        return [one for one in self._sealed() if one.id > after][:limit]

    async def reseal(self, sealed: Mapping[bytes, tuple[bytes, bytes]]) -> None:
        rows = self._memory.credentials
        for one in self._sealed():
            old, new = sealed.get(one.id, (b"", b""))
            if one.sealed == old:
                rows[one.id] = msgspec.structs.replace(
                    one, sealed=new, version=one.version + 1
                )

    def _sealed(self) -> Sequence[Credential]:
        rows = [one for one in self._memory.credentials.values() if one.sealed]
        return sorted(rows, key=lambda one: one.id)
