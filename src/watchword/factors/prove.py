"""One attempt with a second factor, counted by account and network."""

from __future__ import annotations

from watchword.attempts import Attempts
from watchword.core.ticket import TicketPurpose
from watchword.factors.passkeys import Passkeys
from watchword.factors.proof import FactorProof, Proved
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.factors.registry import Factors
from watchword.factors.totp import TotpFactors
from watchword.notices import FactorNotices
from watchword.ports.credentials import CredentialStore


class FactorProofs:
    """Checks second factors for sign-in, step-up and reset alike."""

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        attempts: Attempts,
        totp: TotpFactors,
        codes: RecoveryCodes,
        passkeys: Passkeys | None,
        factors: Factors,
        notices: FactorNotices,
    ) -> None:
        self._credentials = credentials
        self._attempts = attempts
        self._totp = totp
        self._codes = codes
        self._passkeys = passkeys
        self._factors = factors
        self._notices = notices

    async def prove(
        self,
        account_id: bytes,
        proof: FactorProof,
        *,
        address: str,
        purpose: TicketPurpose = TicketPurpose.PASSKEY_LOGIN,
        bound: str = "",
    ) -> Proved:
        """The factor, if it is right. Counted before it is checked, as a sign-in is.

        A TOTP step and a passkey's counter are spent when this returns; a recovery code
        is in `spends`. `purpose` and `bound` are those of a passkey's challenge. After
        the third wrong factor in a row the owner is told. Raises SecondFactorInvalid,
        ContinuationExpired (a passkey's challenge), Throttled, Overloaded,
        StoreUnavailable.
        """
        raise NotImplementedError
