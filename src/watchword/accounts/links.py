"""What the one-time token of a mail is for: looked at, and nothing is spent."""

from __future__ import annotations

import msgspec

from watchword.clocks import Clock
from watchword.core import one_time_token
from watchword.core.one_time_token import TokenPurpose
from watchword.errors import ConfirmationInvalid
from watchword.mail.addresses import masked
from watchword.ports.accounts import AccountStore
from watchword.ports.confirmations import Confirmation, ConfirmationStore
from watchword.ports.registrations import Registration, RegistrationStore


class Link(msgspec.Struct, frozen=True):
    """What a token is for, as a page shows it before its button is pressed.

    `address` is masked (`m•••@example.org`). `account_id` is the account that a reset
    or an address is for, or that has the address of an invitation already. `username`
    is what a registration asked for.
    """

    purpose: TokenPurpose
    address: str
    account_id: bytes | None = None
    username: str | None = None


class Links:
    """Reads the tokens of mails."""

    def __init__(
        self,
        *,
        registrations: RegistrationStore,
        confirmations: ConfirmationStore,
        accounts: AccountStore,
        clock: Clock,
    ) -> None:
        self._registrations = registrations
        self._confirmations = confirmations
        self._accounts = accounts
        self._clock = clock

    async def look(self, token: str) -> Link:
        """What the token is for. Raises ConfirmationInvalid."""
        shape = one_time_token.read(token)
        if shape is not None and shape[0] is TokenPurpose.REGISTRATION:
            waiting = await self.registration(token)
            return Link(shape[0], masked(waiting.email), username=waiting.username)
        found = await self.confirmation(token, *TokenPurpose)
        account_id = found.account_id
        if account_id is None:
            account = await self._accounts.by_email(found.email_key)
            account_id = None if account is None else account.id
        return Link(TokenPurpose(found.purpose), masked(found.email), account_id)

    async def registration(self, token: str) -> Registration:
        """The registration that the token confirms. Raises ConfirmationInvalid."""
        token_hash = _hash_of(token, TokenPurpose.REGISTRATION)
        found = await self._registrations.by_token(token_hash)
        if found is None or found.until <= self._clock():
            raise ConfirmationInvalid
        return found

    async def confirmation(self, token: str, *purposes: TokenPurpose) -> Confirmation:
        """The confirmation of the token, for one of these purposes.

        Raises ConfirmationInvalid.
        """
        token_hash = _hash_of(token, *purposes)
        found = await self._confirmations.by_token(token_hash)
        if (
            found is None
            or found.until <= self._clock()
            or TokenPurpose(found.purpose) not in purposes
        ):
            raise ConfirmationInvalid
        return found


def _hash_of(token: str, *purposes: TokenPurpose) -> bytes:
    shape = one_time_token.read(token)
    if shape is None or shape[0] not in purposes:
        raise ConfirmationInvalid
    return shape[1]
