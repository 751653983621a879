"""What users have allowed clients to have."""

from __future__ import annotations

from typing import Protocol

import msgspec

from watchword.ports.audit import Event


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """A user lets a client have these scopes and resources. Instants in ms.

    Scopes and resources are words: none of them has a space in it.
    """

    account_id: bytes
    client_id: str
    scope: tuple[str, ...]
    resource: tuple[str, ...]
    created_at: int
    used_at: int


class ConsentStore(Protocol):
    """One row for an account and a client. It goes with its account."""

    async def put(self, consent: Consent, event: Event | None) -> bool:
        """Write the row, in place of an older one. False where the account is gone."""

    async def load(self, account_id: bytes, client_id: str) -> Consent | None:
        """The row, or None. MUST see every `put` and `drop` that has returned."""

    async def of_account(self, account_id: bytes) -> list[Consent]:
        """All rows of an account, in order of client id."""

    async def used(self, account_id: bytes, client_id: str, at: int) -> None:
        """Write `used_at` into the row, if there is one that was used before `at`.

        It MUST NOT bring back a row that another caller has dropped meanwhile.
        """

    async def drop(self, account_id: bytes, client_id: str, event: Event) -> bool:
        """Delete the row; whether there was one. Otherwise no event is written."""
