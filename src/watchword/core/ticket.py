"""Tickets: sealed, purpose-bound statements that a client carries for a few minutes.

    prefix | base64url( salt 16 | AES-256-GCM( instant 8 | statement ) )

Each ticket has a key of its own: HMAC-SHA-256 of the salt under a key that is derived
from the server secret. The purpose is the associated data, so a ticket of one purpose
is none of another. What may serve once is named to `use_once`, by the id of the ticket.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

Statement = TypeVar("Statement", bound=msgspec.Struct)


class TicketPurpose(StrEnum):
    """What a ticket is for."""

    LOGIN = "login"
    """The first factor was right, the second is to come."""
    ENROL = "enrol"
    """The password was right, and a factor has to be enrolled."""
    RESET = "reset"
    """The token of a reset was right, the second factor is to come."""
    TOTP = "totp"
    """The secret of an authenticator app that is not confirmed yet."""
    PASSKEY_LOGIN = "wc-login"
    PASSKEY_ENROL = "wc-enrol"
    PASSKEY_STEP = "wc-step"


class TicketInvalid(ValueError):
    """No ticket of this server for that purpose, or one that has run out."""


class Tickets:
    """Seals and opens tickets. The first secret seals, all of them open.

    `secrets` are keys of 32 bytes that are derived for this. `clock` is in
    milliseconds, `entropy` gives random bytes.
    """

    def __init__(
        self,
        secrets: Sequence[bytes],
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._entropy = entropy

    def seal(self, purpose: TicketPurpose, statement: msgspec.Struct) -> str:
        """The ticket with that statement, of this instant.

        Raises ValueError for a statement that makes it longer than TICKET_MAX.
        """
        raise NotImplementedError

    def open(
        self, purpose: TicketPurpose, text: str, kind: type[Statement]
    ) -> Statement:
        """The statement in a ticket. Raises TicketInvalid, also where its life is over.

        The life is that of the purpose, in both directions: a ticket from the future
        is refused too.
        """
        raise NotImplementedError

    def id_of(self, text: str) -> str:
        """The name of a ticket for `use_once`: it says nothing of its contents."""
        raise NotImplementedError
