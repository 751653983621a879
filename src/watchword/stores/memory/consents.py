"""What users have allowed clients to have."""

from __future__ import annotations

from msgspec.structs import replace

from watchword.ports.audit import Event
from watchword.ports.consents import Consent
from watchword.stores.memory.rows import Memory


class MemoryConsents:
    """Implements `ConsentStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def put(self, consent: Consent, event: Event | None) -> bool:
        if consent.account_id not in self._memory.accounts:
            return False
        self._memory.consents[consent.account_id, consent.client_id] = consent
        if event is not None:
            self._memory.record(event)
        return True

    async def load(self, account_id: bytes, client_id: str) -> Consent | None:
        return self._memory.consents.get((account_id, client_id))

    async def of_account(self, account_id: bytes) -> list[Consent]:
        rows = self._memory.consents
        return [rows[key] for key in sorted(rows) if key[0] == account_id]

    async def used(self, account_id: bytes, client_id: str, at: int) -> None:
        rows, key = self._memory.consents, (account_id, client_id)
        row = rows.get(key)
        if row is not None and row.used_at < at:
            rows[key] = replace(row, used_at=at)

    async def drop(self, account_id: bytes, client_id: str, event: Event) -> bool:
        if self._memory.consents.pop((account_id, client_id), None) is None:
            return False
        self._memory.record(event)
        return True
