"""One attempt with a second factor, counted by account and network."""

from __future__ import annotations

from typing import Final

from watchword.attempts import Attempts
from watchword.core.actor import Actor, By
from watchword.errors import SecondFactorInvalid
from watchword.factors.alarms import FactorAlarms
from watchword.factors.passkeys import Passkeys
from watchword.factors.proof import FactorProof, Method, Proved
from watchword.factors.recovery_codes import RecoveryCodes
from watchword.factors.registry import Factors
from watchword.factors.rows import codes_left
from watchword.factors.totp import TotpFactors
from watchword.metrics import Metrics
from watchword.metrics.catalog import Counter
from watchword.ports.credentials import CredentialKind, CredentialStore

AMR_OF_CODE: Final = ("otp", "mfa")
"""The `amr` of a code, besides those of the first factor (RFC 8176 §2)."""


class FactorProofs:
    """Checks second factors for sign-in, step-up and reset alike."""

    def __init__(
        self,
        *,
        credentials: CredentialStore,
        attempts: Attempts,
        totp: TotpFactors,
        codes: RecoveryCodes,
        passkeys: Passkeys,
        factors: Factors,
        alarms: FactorAlarms,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._credentials = credentials
        self._attempts = attempts
        self._totp = totp
        self._codes = codes
        self._passkeys = passkeys
        self._factors = factors
        self._alarms = alarms

    async def prove(
        self,
        account_id: bytes,
        proof: FactorProof,
        *,
        address: str,
        bound: str,
    ) -> Proved:
        """The factor, if it is right. Counted before it is checked, as a sign-in is.

        A TOTP step and a passkey's counter are spent when this returns; a recovery code
        is in `spends`. `bound` is that of the options of a passkey. After the third
        wrong factor in a row the owner is told. Raises SecondFactorInvalid,
        ContinuationExpired (a passkey's challenge), Throttled, Overloaded,
        StoreUnavailable.
        """
        is_locked = False
        of_code = proof.method is Method.TOTP
        counted = self._attempts.factor(account_id, address, of_code=of_code)
        try:
            async with counted as attempt:
                is_locked = attempt.is_locked
                if is_locked:
                    raise SecondFactorInvalid  # noqa: TRY301 - the attempt has failed
                return await self._check(account_id, proof, address, bound)
        except SecondFactorInvalid:
            self._metrics.count(Counter.FACTORS, proof.method, "failed")
            await self._alarms.failed(account_id, address, is_locked=is_locked)
            raise

    async def _check(
        self, account_id: bytes, proof: FactorProof, address: str, bound: str
    ) -> Proved:
        if proof.method is Method.PASSKEY:
            if not self._passkeys.is_on:
                raise SecondFactorInvalid
            _, amr = await self._passkeys.prove(
                proof.challenge, proof.credential, account_id=account_id, bound=bound
            )
            return Proved(amr=amr)
        rows = await self._credentials.of_account(account_id)
        if proof.method is Method.TOTP:
            codes = [row for row in rows if row.kind is CredentialKind.TOTP]
            await self._totp.spend(codes, proof.code)
            return Proved(amr=AMR_OF_CODE)
        code = self._codes.find(rows, proof.code)
        if code is None:
            raise SecondFactorInvalid
        left, by = codes_left(rows) - 1, By(Actor.USER, address)
        return Proved(
            amr=AMR_OF_CODE, spends=await self._factors.spending(code, left, by=by)
        )
