"""The ring of signing keys at rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from watchword.ports.audit import Event


class KeyState(StrEnum):
    """What a signing key is used for."""

    NEXT = "next"
    """Published, and not signing yet."""

    ACTIVE = "active"
    """Signs what its use says."""

    RETIRED = "retired"
    """Published until the last token that it signed has expired."""


class KeyUse(StrEnum):
    """What a key signs. Each use has one active key."""

    ACCESS_TOKEN = "access"  # noqa: S105 - a use
    ID_TOKEN_RS256 = "id RS256"  # noqa: S105 - a use
    ID_TOKEN_ES256 = "id ES256"  # noqa: S105 - a use
    ID_TOKEN_EDDSA = "id EdDSA"  # noqa: S105 - a use


ID_TOKEN_USES: Final[Mapping[str, KeyUse]] = {
    "RS256": KeyUse.ID_TOKEN_RS256,
    "ES256": KeyUse.ID_TOKEN_ES256,
    "EdDSA": KeyUse.ID_TOKEN_EDDSA,
}
"""What a key that signs ID tokens by an algorithm is for."""


class SealedKey(msgspec.Struct, frozen=True):
    """A signing key at rest: the private key under AES-256-GCM.

    `changed_at` is when the key came into its `state`.
    """

    kid: str
    alg: str
    state: KeyState
    sealed: bytes
    changed_at: int
    use: KeyUse = KeyUse.ACCESS_TOKEN


class KeyStore(Protocol):
    """The ring of signing keys, read and written as a whole."""

    async def load(self) -> tuple[int, list[SealedKey]]:
        """The ring and its revision; revision 0 is the empty ring of a new store."""

    async def swap(
        self, revision: int, keys: Sequence[SealedKey], event: Event
    ) -> bool:
        """Replace the ring of that revision. False where another process was first."""
