"""Registrations that wait for their confirmation: no account exists before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from watchword.core import limits
from watchword.core.network import provided_to
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
    network: str
    of_network: int


def crowded_out(neighbours: Sequence[Neighbour]) -> list[bytes]:
    """Which of them go when another one joins, by `id_hash`, so that few enough stay.

    Networks that one caller may have crowd others out, so theirs go first: of those
    with the most for this address, then of the one with the most for any. Of equals the
    oldest.
    """
    holders = [provided_to(one.network) for one in neighbours]
    of_holder = Counter(holders)
    order = sorted(
        zip(holders, neighbours, strict=True),
        key=lambda pair: (
            -of_holder[pair[0]],
            -pair[1].of_network,
            pair[1].created_at,
            pair[1].id_hash,
        ),
    )
    surplus = len(order) + 1 - limits.REGISTRATIONS_PER_ADDRESS
    return [one.id_hash for _, one in order[: max(0, surplus)]]


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
