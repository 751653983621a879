"""The way in by passkey alone: with user verification it is two factors at once."""

from __future__ import annotations

from typing import Any

from watchword.accounts.registry import Accounts
from watchword.attempts import Attempts
from watchword.clocks import Clock
from watchword.core.session import Authenticated
from watchword.factors.passkeys import PasskeyOptions, Passkeys
from watchword.sign_in.own_users import Subjects


class PasskeySignIn:
    """Signs in users by a passkey that the authenticator knows (discoverable)."""

    def __init__(
        self,
        *,
        passkeys: Passkeys,
        users: Accounts | Subjects,
        attempts: Attempts,
        clock: Clock,
    ) -> None:
        self._passkeys = passkeys
        self._users = users
        self._attempts = attempts
        self._clock = clock

    async def options(self, *, bound: str = "", address: str = "") -> PasskeyOptions:
        """Options that any passkey may answer. `bound` is the cookie of a browser."""
        raise NotImplementedError

    async def authenticate(
        self,
        challenge: str,
        credential: dict[str, Any],
        *,
        bound: str = "",
        address: str = "",
    ) -> Authenticated:
        """The user of that passkey, at `aal2`. Counted by network and account.

        A disabled account, and a passkey that is not known, look the same. Raises
        SecondFactorInvalid, ContinuationExpired, Throttled, StoreUnavailable.
        """
        raise NotImplementedError
