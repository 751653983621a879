"""The way in by name and password of an account.

An unknown name, a wrong password and a disabled account cost the same and look the
same.
"""

from __future__ import annotations

from watchword.accounts.names import normalise_name
from watchword.accounts.rows import changed
from watchword.clocks import Clock
from watchword.core.session import Authenticated
from watchword.passwords import PasswordHasher
from watchword.ports.accounts import AccountStore
from watchword.ports.audit import Trail
from watchword.sign_in.attempts import Attempts


class AccountPasswords:
    """Checks the passwords of accounts."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        attempts: Attempts,
        hasher: PasswordHasher,
        clock: Clock,
    ) -> None:
        self._accounts = accounts
        self._attempts = attempts
        self._hasher = hasher
        self._clock = clock

    async def authenticate(
        self, name: str, password: str, *, address: str = ""
    ) -> Authenticated:
        """The account of that name, if this is its password.

        Every attempt is counted before the password is hashed. Raises
        InvalidCredentials, InvalidRequest, Throttled, Overloaded, StoreUnavailable.
        """
        name = normalise_name(name)
        async with self._attempts.counted(name, address) as attempt:
            account = await self._accounts.by_name(name)
            stored = None
            if account is not None:
                attempt.account_id = account.id
                stored = None if account.disabled else account.password_hash
            # Raises InvalidCredentials where there is no hash, as for a wrong password.
            rehash = await self._hasher.verify(stored, password, address=attempt.caller)
            assert account is not None  # noqa: S101 - there was a hash
        if rehash is not None:
            better = changed(account, password_hash=rehash)
            await self._accounts.swap(account, better, Trail())
        return Authenticated.by_password(
            account.id, account.roles, account.epoch, at=self._clock()
        )
