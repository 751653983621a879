"""Registrations that wait for their confirmation: no account exists before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from watchword.core import limits
from watchword.ports.audit import Trail


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asked for, until the mailbox is proved.

    `id_hash` is the SHA-256 of the handle that the asker got in the answer,
    `token_hash` that of the token that was mailed. `email_key` is the one spelling of
    `email`. `network` is the asker's. `until` is an instant (ms).
    """

    id_hash: bytes
    token_hash: bytes
    email: str
    email_key: str
    username: str | None
    password_hash: str
    locale: str
    network: str
    created_at: int
    until: int


class Neighbour(msgspec.Struct, frozen=True):
    """A registration for the same address: how many its network has for any address."""

    id_hash: bytes
    created_at: int
    of_network: int


def crowded_out(neighbours: Iterable[Neighbour]) -> list[bytes]:
    """Which of them go when another one joins, by `id_hash`, so that few enough stay.

    A network that has many crowds others out, so its own go first; of equals the
    oldest.
    """
    order = sorted(
        neighbours, key=lambda one: (-one.of_network, one.created_at, one.id_hash)
    )
    surplus = len(order) + 1 - limits.REGISTRATIONS_PER_ADDRESS
    return [one.id_hash for one in order[: max(0, surplus)]]


class RegistrationStore(Protocol):
    """Registrations by handle and by token. `AccountStore.add` spends them."""

    async def add(self, registration: Registration, trail: Trail) -> None:
        """Write it, in place of the one that address and network have already.

        Of one address REGISTRATIONS_PER_ADDRESS are kept, this one among them:
        `crowded_out` says which others go. MUST NOT look at any account.
        """

    async def by_id(self, id_hash: bytes) -> Registration | None:
        """The registration of that handle."""

    async def by_token(self, token_hash: bytes) -> Registration | None:
        """The registration of that token."""

    async def renew(self, id_hash: bytes, token_hash: bytes) -> bool:
        """Give it another token, in place of the one that it has. False: it is gone."""
