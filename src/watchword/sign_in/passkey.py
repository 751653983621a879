"""The way in by passkey alone: with user verification it is two factors at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from watchword.attempts import Attempts
from watchword.clocks import Clock
from watchword.core.session import AAL2, Authenticated
from watchword.errors import InvalidCredentials, SecondFactorInvalid
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.ports.accounts import AccountStore

Standing = tuple[tuple[str, ...], int]
"""The roles and the epoch of a user that may sign in."""


async def standing_of_account(
    accounts: AccountStore, account_id: bytes, _caller: str
) -> Standing:
    """Raises InvalidCredentials for an account that is disabled or gone."""
    account = await accounts.by_id(account_id)
    if account is None or account.disabled:
        raise InvalidCredentials
    return account.roles, account.epoch


class PasskeySignIn:
    """Signs in users by a passkey that the authenticator knows (discoverable).

    `standing_of` is given a user's id and the name of the caller's network. It raises
    InvalidCredentials for a user that must not sign in.
    """

    def __init__(
        self,
        *,
        passkeys: Passkeys,
        standing_of: Callable[[bytes, str], Awaitable[Standing]],
        attempts: Attempts,
        clock: Clock,
    ) -> None:
        self._passkeys = passkeys
        self._standing_of = standing_of
        self._attempts = attempts
        self._clock = clock

    async def options(self) -> PasskeyOptions:
        """Options that any passkey may answer. Raises NotFound where passkeys are off.

        Nothing is read or written, so there is nothing to count.
        """
        return await self._passkeys.options_to_prove()

    async def authenticate(
        self, challenge: str, credential: dict[str, Any], *, address: str
    ) -> Authenticated:
        """The user of that passkey, at `aal2`. Counted by network and account.

        A disabled account, and a passkey that is not known, look the same. Raises
        SecondFactorInvalid, ContinuationExpired, Throttled, Overloaded,
        StoreUnavailable, NotFound where passkeys are off.
        """
        # Before the count: a challenge of the caller's invention makes it no write.
        self._passkeys.check_asked(challenge)
        # As a password is: the account is looked for first, to count by it.
        account_id = await self._passkeys.owner_of(credential)
        async with self._attempts.factor(account_id, address, alone=True) as attempt:
            standing = None
            if account_id is not None:
                # Read before the proof: a change from here on takes the session back.
                standing = await self._standing(account_id, attempt.caller)
            row, amr = await self._passkeys.prove(challenge, credential)
            if standing is None or row.account_id != account_id:
                raise SecondFactorInvalid
            roles, epoch = standing
        return Authenticated(row.account_id, roles, epoch, amr, AAL2, self._clock())

    async def _standing(self, account_id: bytes, caller: str) -> Standing | None:
        try:
            return await self._standing_of(account_id, caller)
        except InvalidCredentials:
            return None
