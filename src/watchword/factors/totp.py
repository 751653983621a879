"""Codes of authenticator apps: enrolled, and checked once each."""

from __future__ import annotations

from typing import Final

import msgspec

from watchword.clocks import Clock, Entropy
from watchword.core import limits, totp
from watchword.core.ticket import TicketInvalid, TicketPurpose, Tickets
from watchword.errors import ContinuationExpired, SecondFactorInvalid, StoreUnavailable
from watchword.keys.sealing import Sealing
from watchword.ports.audit import Trail
from watchword.ports.credentials import Credential, CredentialKind, CredentialStore

# RFC 4226 §4: 160 bits are recommended.
_SECRET: Final = 20
_ID: Final = 16
_QR_SCALE: Final = 4
_QR_MASK: Final = 4


class _Pending(msgspec.Struct, frozen=True):
    """What the ticket of a secret says that is not confirmed yet."""

    account_id: bytes
    factor_id: bytes
    secret: bytes
    name: str
    enrolment: bytes

    def __repr__(self) -> str:
        return "_Pending(...)"


class PendingTotp(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that counts once a code of it has come. `factor` is a ticket.

    `secret` is in base32, `uri` the `otpauth:` URI, `qr` an SVG element of it.
    """

    factor: str
    secret: str
    uri: str
    qr: str

    def __repr__(self) -> str:
        return "PendingTotp(...)"


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
        self.issuer = issuer
        self._drift = drift
        self._clock = clock
        self._entropy = entropy

    def begin(
        self, account_id: bytes, name: str, *, enrolment: bytes = b""
    ) -> PendingTotp:
        """A new secret for that user; nothing is written.

        `name` is what the app shows of the user. `enrolment` is the id of the one-time
        token that was shown for it: it is spent when the factor is added. Tickets are
        bound to the user.
        """
        pending = _Pending(
            account_id,
            self._entropy(_ID),
            self._entropy(_SECRET),
            # A QR code has room for some 2,900 characters, and twelve may be needed for
            # one of a name.
            name[: limits.CHOSEN_NAME_MAX],
            enrolment,
        )
        return self._shown(pending, self._tickets.seal(TicketPurpose.TOTP, pending))

    def again(self, account_id: bytes, factor: str) -> PendingTotp:
        """A pending secret once more: a page is shown again after a wrong code.

        Raises ContinuationExpired as `confirmed`.
        """
        return self._shown(self._open(account_id, factor), factor)

    def confirmed(
        self, account_id: bytes, factor: str, code: str
    ) -> tuple[Credential, bytes]:
        """The row to add for a pending secret whose code is right, its step set.

        With it comes the id of the enrolment token, empty where there was none. Raises
        ContinuationExpired for a ticket that has run out or is another user's,
        SecondFactorInvalid for a wrong code. Count attempts around it.
        """
        pending = self._open(account_id, factor)
        now = self._clock()
        step = totp.matching_step(pending.secret, code, now, self._drift)
        if step is None:
            raise SecondFactorInvalid
        row = Credential(
            id=pending.factor_id,
            account_id=account_id,
            kind=CredentialKind.TOTP,
            created_at=now,
            sealed=self._sealing.seal(pending.secret, account_id + pending.factor_id),
            step=step,
        )
        return row, pending.enrolment

    async def spend(self, rows: list[Credential], code: str) -> Credential:
        """Accept a code once: the row whose step it has moved.

        `rows` are the TOTP rows of one user. Raises SecondFactorInvalid for a wrong or
        used code, StoreUnavailable.
        """
        for _ in range(limits.SWAP_ATTEMPTS):
            now = self._clock()
            found = [(row, self._step(row, code, now)) for row in rows]
            unused = [(row, s) for row, s in found if s is not None and s > row.step]
            if not unused:
                raise SecondFactorInvalid
            row, step = unused[0]
            moved = msgspec.structs.replace(
                row, step=step, used_at=now, version=row.version + 1
            )
            if await self._credentials.swap(row, moved, Trail()):
                return moved
            # The row has changed: by a new name, or by this very code.
            rows = [
                row
                for row in await self._credentials.of_account(row.account_id)
                if row.kind is CredentialKind.TOTP
            ]
        raise StoreUnavailable

    def _step(self, row: Credential, code: str, now: int) -> int | None:
        secret = self._sealing.open(row.sealed, row.account_id + row.id)
        return totp.matching_step(secret, code, now, self._drift)

    def _open(self, account_id: bytes, factor: str) -> _Pending:
        try:
            pending = self._tickets.open(TicketPurpose.TOTP, factor, _Pending)
        except TicketInvalid:
            raise ContinuationExpired from None
        if pending.account_id != account_id:
            raise ContinuationExpired
        return pending

    def _shown(self, pending: _Pending, factor: str) -> PendingTotp:
        uri = totp.uri(pending.secret, issuer=self.issuer, name=pending.name)
        return PendingTotp(
            factor=factor,
            secret=totp.in_base32(pending.secret),
            uri=uri,
            qr=_qr(uri),
        )


def _qr(text: str) -> str:
    """A QR code as an SVG element: without styles, for a page that allows none.

    It has a white ground of its own, for pages on a dark one.
    """
    # Imported only here: a start is not to wait for it.
    import segno  # noqa: PLC0415

    # To look for the best of the eight masks takes 60 ms of the event loop.
    code = segno.make_qr(text, mask=_QR_MASK)
    return code.svg_inline(
        scale=_QR_SCALE, unit="px", light="#fff", svgclass=None, lineclass=None
    )
