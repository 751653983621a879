"""The first factor of a user that has none and needs one: enrolled without a session.

A right password alone enrols nothing: a thief of the password would lock the owner out.
The user shows a token of the mailbox, or one that an operator made.
"""

from __future__ import annotations

from typing import Any, Unpack

from watchword.accounts.account_limits import AccountLimits
from watchword.accounts.enrolment_mails import EnrolmentMails
from watchword.attempts import Attempts
from watchword.core.actor import Actor, By
from watchword.core.session import TokenSet, as_text
from watchword.core.ticket import TicketPurpose
from watchword.errors import ContinuationExpired
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.factors.prove import AMR_OF_CODE
from watchword.factors.registry import Factors
from watchword.factors.totp import PendingTotp, TotpFactors
from watchword.ports.accounts import AccountStore
from watchword.ports.credentials import Credential
from watchword.sign_in.continuation import Binding, Continuation, SecondStepGate
from watchword.sign_in.second_step import ContinuedRequest, SecondStep


class Enrolment:
    """Goes on where `SignIn` stopped with SecondFactorEnrolmentRequired.

    `mails` is None in an app with users of its own, which has their addresses.
    """

    def __init__(
        self,
        *,
        gate: SecondStepGate,
        factors: Factors,
        totp: TotpFactors,
        passkeys: Passkeys,
        attempts: Attempts,
        account_limits: AccountLimits,
        accounts: AccountStore,
        mails: EnrolmentMails | None,
        second_step: SecondStep,
    ) -> None:
        self._gate = gate
        self._factors = factors
        self._totp = totp
        self._passkeys = passkeys
        self._attempts = attempts
        self._limits = account_limits
        self._accounts = accounts
        self._mails = mails
        self._second_step = second_step

    async def ask(self, continuation: str, *, binding: Binding, address: str) -> None:
        """Mail a token to the confirmed address, if there is one. Says nothing else.

        Raises ContinuationExpired, Throttled, StoreUnavailable.
        """
        stated, _ = self._opened(continuation, binding)
        await self._limits.asking(address)
        if self._mails is not None:
            by = By(Actor.USER, address)
            await self._mails.write(stated.authenticated, by=by)

    async def needs_token(self, continuation: str, *, binding: Binding) -> bool:
        """Whether a token is needed: not right after the mailbox was shown.

        Raises ContinuationExpired.
        """
        return not self._opened(continuation, binding)[0].mailbox

    async def begin_totp(
        self, continuation: str, token: str, *, binding: Binding, address: str
    ) -> PendingTotp:
        """A secret for an authenticator app.

        Raises ConfirmationInvalid, ContinuationExpired, Throttled, StoreUnavailable.
        """
        stated, _ = self._opened(continuation, binding)
        account_id = stated.authenticated.account_id
        enrolment = await self._enrolment(stated, token, address)
        name = await self._name_of(account_id)
        return self._totp.begin(account_id, name, enrolment=enrolment)

    async def begin_passkey(
        self, continuation: str, token: str, *, binding: Binding, address: str
    ) -> PasskeyOptions:
        """Options for a new passkey. Raises as `begin_totp`; NotFound without passkeys.

        They are for this continuation alone.
        """
        stated, ticket = self._opened(continuation, binding)
        account_id = stated.authenticated.account_id
        enrolment = await self._enrolment(stated, token, address)
        name = await self._name_of(account_id)
        return await self._passkeys.options_to_register(
            account_id, name, bound=ticket, enrolment=enrolment
        )

    async def confirm_totp(
        self,
        continuation: str,
        factor: str,
        code: str,
        *,
        binding: Binding,
        **request: Unpack[ContinuedRequest],
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """The session, and the recovery codes. Raises as `SecondStep.finish`.

        Nothing is spent by a wrong code.
        """
        stated, ticket = self._opened(continuation, binding)
        account_id = stated.authenticated.account_id
        address = request.get("address", "")
        async with self._attempts.factor(account_id, address, forget=False):
            new = self._totp.confirmed(account_id, factor, code)
        return await self._begin(stated, ticket, new, AMR_OF_CODE, request)

    async def confirm_passkey(
        self,
        continuation: str,
        challenge: str,
        credential: dict[str, Any],
        name: str,
        *,
        binding: Binding,
        **request: Unpack[ContinuedRequest],
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """The session, and the recovery codes. Raises as `SecondStep.finish`."""
        stated, ticket = self._opened(continuation, binding)
        account_id = stated.authenticated.account_id
        address = request.get("address", "")
        async with self._attempts.factor(account_id, address, forget=False):
            new = await self._passkeys.registered(
                account_id, challenge, credential, name, bound=ticket
            )
        amr = self._passkeys.amr_of(new[0])
        return await self._begin(stated, ticket, new, amr, request)

    async def _begin(
        self,
        stated: Continuation,
        ticket: str,
        new: tuple[Credential, bytes],
        amr: tuple[str, ...],
        request: ContinuedRequest,
    ) -> tuple[TokenSet, tuple[str, ...]]:
        """Add the factor with the session, while that can still be taken back."""
        row, enrolment = new
        # What a session has begun to enrol shows no mailbox.
        if not (stated.mailbox or enrolment):
            raise ContinuationExpired
        codes: tuple[str, ...] = ()

        async def add() -> None:
            nonlocal codes
            # First the continuation: the codes are shown once, so nothing that comes
            # after them may fail.
            await self._gate.spend(ticket)
            codes = await self._factors.add(
                row.account_id,
                row,
                keep_session=None,
                by=By(Actor.USER, request.get("address", "")),
                enrolment=enrolment,
            )

        tokens = await self._second_step.begin(stated, amr, settle=add, **request)
        return tokens, codes

    def _opened(self, text: str, binding: Binding) -> tuple[Continuation, str]:
        return self._gate.open(TicketPurpose.ENROL, text, binding)

    async def _enrolment(self, stated: Continuation, token: str, address: str) -> bytes:
        """The id of the token's row; empty where the mailbox was shown just now."""
        if stated.mailbox:
            return b""
        await self._limits.confirming(address)
        return await self._factors.enrolment(stated.authenticated.account_id, token)

    async def _name_of(self, account_id: bytes) -> str:
        """What authenticators call the user: of an app's own user, the subject."""
        account = await self._accounts.by_id(account_id)
        return as_text(account_id) if account is None else account.name
