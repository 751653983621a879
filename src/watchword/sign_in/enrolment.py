"""The first factor of a user that has none and needs one: enrolled without a session.

A right password alone enrols nothing: a thief of the password would lock the owner out.
The user shows a token of the mailbox, or one that an operator made.
"""

from __future__ import annotations

from typing import Any

from watchword.attempts import Attempts
from watchword.core.session import TokenSet
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.registry import Factors
from watchword.factors.totp import PendingTotp, TotpFactors
from watchword.mail.writing import MailWriter
from watchword.ports.accounts import AccountStore
from watchword.ports.credentials import CredentialStore
from watchword.sign_in.continuation import Binding, SecondStepGate
from watchword.sign_in.second_step import SecondStep


class Enrolment:
    """Goes on where `SignIn` stopped with SecondFactorEnrolmentRequired."""

    def __init__(
        self,
        *,
        gate: SecondStepGate,
        factors: Factors,
        totp: TotpFactors,
        passkeys: Passkeys | None,
        attempts: Attempts,
        accounts: AccountStore,
        credentials: CredentialStore,
        mail: MailWriter,
        second_step: SecondStep,
    ) -> None:
        self._gate = gate
        self._factors = factors
        self._totp = totp
        self._passkeys = passkeys
        self._attempts = attempts
        self._accounts = accounts
        self._credentials = credentials
        self._mail = mail
        self._second_step = second_step

    async def ask(self, continuation: str, *, binding: Binding, address: str) -> None:
        """Mail a token to the confirmed address, if there is one. Says nothing else.

        Raises ContinuationExpired, Throttled, StoreUnavailable.
        """
        raise NotImplementedError

    async def needs_token(self, continuation: str, *, binding: Binding) -> bool:
        """Whether a token is needed: not right after the mailbox was shown."""
        raise NotImplementedError

    async def begin_totp(
        self, continuation: str, token: str, *, binding: Binding, address: str
    ) -> PendingTotp:
        """A secret for an authenticator app. Raises ConfirmationInvalid."""
        raise NotImplementedError

    async def begin_passkey(
        self, continuation: str, token: str, *, binding: Binding, address: str
    ) -> PasskeyOptions:
        """Options for a new passkey. Raises ConfirmationInvalid, NotFound."""
        raise NotImplementedError

    async def confirm_totp(
        self,
        continuation: str,
        factor: str,
        code: str,
        *,
        binding: Binding,
        replaces: str = "",
        address: str = "",
        user_agent: str = "",
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """The session, and the recovery codes. Raises as `SecondStep.finish`."""
        raise NotImplementedError

    async def confirm_passkey(
        self,
        continuation: str,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        *,
        binding: Binding,
        replaces: str = "",
        address: str = "",
        user_agent: str = "",
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """The session, and the recovery codes. Raises as `SecondStep.finish`."""
        raise NotImplementedError
