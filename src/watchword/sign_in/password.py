"""The way in by password of an account, and by its name or its mail address.

An unknown name, a wrong password and a disabled account cost the same and look the
same.
"""

from __future__ import annotations

import contextlib

from watchword.accounts.names import normalise_name
from watchword.accounts.rows import changed
from watchword.attempts import Attempts
from watchword.clocks import Clock
from watchword.core.session import Authenticated
from watchword.errors import EmailInvalid, InvalidCredentials
from watchword.mail.addresses import read_address
from watchword.passwords import PasswordHasher
from watchword.ports.accounts import Account, AccountStore
from watchword.ports.audit import Trail


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
        """The account of that name or confirmed mail address, if this is its password.

        Every attempt is counted before the password is hashed. Raises
        InvalidCredentials, InvalidRequest, Throttled, Overloaded, StoreUnavailable.
        """
        normal = normalise_name(name)
        account, counted_by = await self._find(name, normal)
        return await self._check(account, normal, counted_by, password, address)

    async def of_account(
        self, account_id: bytes, password: str, *, address: str
    ) -> Authenticated:
        """The account of that id, if this is its password: counted as a sign-in is.

        Raises InvalidCredentials, Throttled, Overloaded, StoreUnavailable.
        """
        account = await self._accounts.by_id(account_id)
        if account is None:
            raise InvalidCredentials
        counted_by = account.subject
        return await self._check(account, account.name, counted_by, password, address)

    async def _find(self, text: str, name: str) -> tuple[Account | None, str]:
        """The account that signs in by this text, and what its attempts are counted by.

        An account is counted by its id, whether its name or its address is given. Any
        other text is counted as if it named an account. The store is asked the same
        whatever it has: for a name and, if the text is an address, for that.
        """
        account = await self._accounts.by_name(name)
        counted_by = name
        with contextlib.suppress(EmailInvalid):
            # Not of the normalised name: that has changed the letters of domains.
            counted_by = read_address(text.strip(), local=True).key
            addressed = await self._accounts.by_email(counted_by)
            # A name that is an address is no other one, as it would be by its spelling
            # as a name: `ß` in a domain becomes `ss` there.
            if account is not None and account.name == account.email_key:
                account = account if account.name == counted_by else None
            if addressed is not None and addressed.email_confirmed_at is not None:
                account = account or addressed
        return account, counted_by if account is None else account.subject

    async def _check(
        self,
        account: Account | None,
        name: str,
        counted_by: str,
        password: str,
        address: str,
    ) -> Authenticated:
        counted = self._attempts.counted(name, address, account=counted_by)
        async with counted as attempt:
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
