"""Passkeys (WebAuthn level 3): the only module that knows the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from watchword.background import Background
from watchword.clocks import Clock, Entropy
from watchword.core.ticket import TicketPurpose, Tickets
from watchword.keys.sealing import Sealing
from watchword.notices import FactorNotices
from watchword.ports.audit import AuditLog
from watchword.ports.credentials import Credential, CredentialStore
from watchword.ports.once import ReplayCache


class PasskeyOptions(msgspec.Struct, frozen=True, rename="camel"):
    """What a browser is asked with. `challenge` is the ticket of the ceremony."""

    challenge: str
    public_key: dict[str, Any]


class RelyingParty(msgspec.Struct, frozen=True, kw_only=True):
    """What passkeys are bound to. `origins` are ours, never a request's."""

    id: str
    name: str
    origins: tuple[str, ...]


class Passkeys:
    """Registers passkeys, and checks what they sign."""

    def __init__(
        self,
        *,
        party: RelyingParty,
        credentials: CredentialStore,
        sealing: Sealing,
        tickets: Tickets,
        once: ReplayCache,
        audit: AuditLog,
        notices: FactorNotices,
        background: Background,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._party = party
        self._credentials = credentials
        self._sealing = sealing
        self._tickets = tickets
        self._once = once
        self._audit = audit
        self._notices = notices
        self._background = background
        self._clock = clock
        self._entropy = entropy

    async def options_to_register(
        self, account_id: bytes, name: str, *, bound: str, enrolment: bytes = b""
    ) -> PasskeyOptions:
        """Options for `navigator.credentials.create`.

        `bound` is what the ceremony belongs to: a session's `sid`, or the id of a
        continuation. Makes the user's handle if there is none.
        """
        raise NotImplementedError

    async def registered(
        self,
        account_id: bytes,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        *,
        bound: str,
    ) -> tuple[Credential, bytes]:
        """The row to add for a new passkey, and the id of the enrolment token.

        Raises ContinuationExpired for a challenge that has run out, was used or is
        bound otherwise; SecondFactorInvalid where the answer does not hold.
        """
        raise NotImplementedError

    async def options_to_prove(
        self,
        purpose: TicketPurpose,
        *,
        account_id: bytes | None = None,
        bound: str = "",
    ) -> PasskeyOptions:
        """Options for `navigator.credentials.get`.

        Without an account, any passkey of this server may answer (a discoverable
        sign-in): the list of allowed credentials is empty.
        """
        raise NotImplementedError

    async def prove(
        self,
        purpose: TicketPurpose,
        challenge: str,
        credential: dict[str, Any],
        *,
        account_id: bytes | None = None,
        bound: str = "",
    ) -> tuple[Credential, tuple[str, ...]]:
        """The passkey that answered, with counter and use moved, and its `amr`.

        Raises ContinuationExpired, SecondFactorInvalid, StoreUnavailable.
        """
        raise NotImplementedError

    def exclude(self, rows: Sequence[Credential]) -> list[dict[str, Any]]:
        """The descriptors of passkeys that a user has."""
        raise NotImplementedError
