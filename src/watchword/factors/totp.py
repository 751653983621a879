"""Codes of authenticator apps: enrolled, and checked once each."""

from __future__ import annotations

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core.ticket import Tickets
from watchword.keys.sealing import Sealing
from watchword.ports.credentials import Credential, CredentialStore


class PendingTotp(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that counts once a code of it has come. `factor` is a ticket.

    `secret` is in base32, `uri` the `otpauth:` URI, `qr` an SVG element of it.
    """

    factor: str
    secret: str
    uri: str
    qr: str


class TotpFactors:
    """Enrols and checks authenticator apps.

    `issuer` is the name of the service, as the apps show it.
    """

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        sealing: Sealing,
        tickets: Tickets,
        issuer: str,
        drift: int,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._credentials = credentials
        self._sealing = sealing
        self._tickets = tickets
        self._issuer = issuer
        self._drift = drift
        self._clock = clock
        self._entropy = entropy

    def begin(
        self, account_id: bytes, name: str, *, enrolment: bytes = b""
    ) -> PendingTotp:
        """A new secret for that user; nothing is written.

        `enrolment` is the id of the one-time token that was shown for it: it is spent
        when the factor is added. Tickets are bound to the user.
        """
        raise NotImplementedError

    def confirmed(
        self, account_id: bytes, factor: str, code: str
    ) -> tuple[Credential, bytes]:
        """The row to add for a pending secret whose code is right, its step set.

        With it comes the id of the enrolment token, empty where there was none. Raises
        ContinuationExpired for a ticket that has run out or is another user's,
        SecondFactorInvalid for a wrong code. Count attempts around it.
        """
        raise NotImplementedError

    async def spend(self, rows: list[Credential], code: str) -> Credential:
        """Accept a code once: the row whose step it has moved.

        `rows` are the TOTP rows of one user. Raises SecondFactorInvalid for a wrong or
        used code, StoreUnavailable.
        """
        raise NotImplementedError
